#!/bin/bash
# DESIGN's dependency law: what each folder may include, and which symbols of
# other libraries its archive may use.
set -u
cd "$PARE_TESTS/.." || exit 1
failed=0
complain() {
  echo "broken: $1"
  failed=1
}

# folder, then the quoted headers of Pare that it may include (a pattern), then <...> headers it must not
public_of() { (cd "$1/include/pare" && ls | sed 's/\./\\./' | paste -sd'|'); }
base=$(public_of formats/base)
container=$(public_of formats/container)
onnx=$(public_of formats/onnx)
dataset=$(public_of formats/dataset)
runtime=$(public_of runtime)

check_includes() { # FOLDER ALLOWED
  local lines
  lines=$(grep -rhoE '#include "pare/[^"]+"' "$1" --include='*.[ch]' | sed 's/.*"pare\///; s/"//' | sort -u |
    grep -vxE "$2")
  [ -z "$lines" ] || complain "$1 includes $(echo $lines)"
}
check_includes formats/base "$base"
check_includes formats/container "$base|$container"
check_includes formats/onnx "$base|$onnx"
check_includes formats/dataset "$base|$dataset"
check_includes runtime "$base|$container|$runtime"

check_system() { # FOLDER FORBIDDEN
  local lines
  lines=$(grep -rnE "#include [<\"]($2)" "$1" --include='*.[ch]')
  [ -z "$lines" ] || complain "$1: $lines"
}
check_system formats/base 'zlib|png|jpeglib|protobuf|jansson|oneapi|omp\.h'
check_system formats/container 'png|jpeglib|protobuf|jansson|oneapi|omp\.h'
check_system formats/onnx 'zlib|png|jpeglib|jansson|oneapi|omp\.h'
check_system formats/dataset 'protobuf|jansson|oneapi|omp\.h'
check_system runtime 'png|jpeglib|protobuf|jansson|sqlite|lapacke'

lines=$(grep -rlE '#include <.*dnnl' --include='*.[ch]' . | grep -vE '^\./(runtime/onednn|libcompress/train/onednn|tests|bench|build)/')
[ -z "$lines" ] || complain "dnnl.h outside its folders: $lines"
lines=$(grep -rlE '#include <mpi\.h>' --include='*.[ch]' . | grep -vE '^\./(libcompress/train/mpi|build)/')
[ -z "$lines" ] || complain "mpi.h outside its folder: $lines"
lines=$(grep -rnE '\b(printf|puts|exit|abort|assert)\(' --include='*.c' formats runtime libcompress | grep -vE '^[^:]*:[0-9]+: *(\*|/\*|//)')
[ -z "$lines" ] || complain "a library that prints, exits or asserts: $lines"
lines=$(grep -rhoE '#include "[^"]+"' --include='*.[ch]' tools | sort -u | sed 's/#include "//; s/"//' | grep -v '^pare/' |
  while read -r header; do [ -f "tools/$header" ] || echo "$header"; done)
[ -z "$lines" ] || complain "tools include private headers: $lines"

# Archives: whatever pare_* symbol one leaves undefined must be defined in what it may use.
check_symbols() { # ARCHIVE, then the archives that it may use
  local archive=$PARE_BUILD/$1 allowed=$PARE_BUILD/$1 lines
  [ -f "$archive" ] || return 0
  shift
  for other in "$@"; do allowed="$allowed $PARE_BUILD/$other"; done
  lines=$(comm -23 <(nm -u "$archive" 2>/dev/null | awk '$1=="U" && $2 ~ /^pare_/ {print $2}' | sort -u) \
    <(nm --defined-only $allowed 2>/dev/null | awk 'NF==3 {print $3}' | sort -u))
  [ -z "$lines" ] || complain "$archive uses $(echo $lines)"
}
b=formats/base/libpare_base.a c=formats/container/libpare_container.a
check_symbols $b
check_symbols $c $b
check_symbols formats/onnx/libpare_onnx.a $b
check_symbols formats/dataset/libpare_dataset.a $b
check_symbols runtime/libpare_runtime.a $b $c
# MPI is needed by what trains, not by what only links the library that can.
for tool in "$PARE_BIN"/pare*; do
  case ${tool##*/} in pare-train | pare-distill) continue ;; esac
  ! readelf -d "$tool" 2> /dev/null | grep -q 'NEEDED.*libmpi' || complain "${tool##*/} needs MPI"
done
exit $failed
