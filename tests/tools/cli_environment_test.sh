#!/bin/bash
# Rows 81, 82 and 83 of the bad inputs: streams, locale, paths, resource limits,
# and writers that meet.
. "$PARE_TESTS/tools/sample.sh"
bin=$PARE_BIN
sanitized=false # a sanitizer reserves terabytes and reads /proc
grep -qE "^PARE_SANITIZE:.*=.+" "${PARE_BUILD:-.}/CMakeCache.txt" 2> /dev/null && sanitized=true

expect 0 ratio pare-emit digits_cnn.onnx -o reference.pare

row 81 # streams and locale
for tool in "pare-inspect digits_cnn.onnx" "pare-emit digits_cnn.onnx -o full.pare" "pare-inspect --help" \
  "pare-inspect --version" "pare-inspect digits_cnn.onnx --json -" "pare --help" "pare --version"; do
  # shellcheck disable=SC2086
  "$bin/"$tool > /dev/full 2> err.txt
  [ $? -eq 4 ] || fail "$tool: a full standard output is not reported"
  # shellcheck disable=SC2086
  "$bin/"$tool >&- 2> err.txt
  [ $? -eq 4 ] || fail "$tool: a closed standard output is not reported"
done
# What is opened in place of a closed stream must not receive what is printed.
for closed in '<&-' '>&-' '2>&-' '<&- >&- 2>&-'; do
  rm -f closed.pare
  eval "'$bin/pare-emit' digits_cnn.onnx -o closed.pare -v $closed" > /dev/null
  cmp closed.pare reference.pare || fail "the output differs with $closed"
done
"$bin/pare-emit" missing.onnx -o x.pare 2>&-
[ $? -eq 4 ] || fail "a closed standard error changes the exit code"
"$bin/pare-inspect" digits_cnn.onnx 2> /dev/null | head -n 1 > /dev/null
status=("${PIPESTATUS[@]}")
[ "${status[0]}" -eq 0 ] || [ "${status[0]}" -eq 4 ] || fail "a reader that is gone: exit ${status[0]}"
python3 - "$bin/pare-inspect" <<'P' || fail "a reader that is gone before the first line is not reported"
import os, subprocess, sys
r, w = os.pipe()
os.close(r)
sys.exit(0 if subprocess.run([sys.argv[1], "digits_cnn.onnx"], stdout=w, stderr=subprocess.PIPE).returncode == 4 else 1)
P
deep=$(printf 'd%.0s' $(seq 200))
mkdir -p -- "odd
 näme" $'raw\xff\xfe' "$deep/$deep/$deep" '-dash' '$(x);"'"'"
for folder in "odd
 näme" $'raw\xff\xfe' "$deep/$deep/$deep" './-dash' '$(x);"'"'"; do
  cp digits_cnn.onnx digits_cnn.json "$folder/"
  expect 0 parameters pare-inspect "$folder/digits_cnn.onnx"
  expect 0 parameters pare-inspect "$folder/digits_cnn.onnx" --json -
  expect 0 ratio pare-emit "$folder/digits_cnn.onnx" -o "$folder/m.pare" --json "$folder/e.json"
  cmp "$folder/m.pare" reference.pare || fail "$folder: another output"
  python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$folder/e.json" || fail "$folder: no JSON"
  expect 0 top1 pare-eval "$folder/m.pare" --data "$test_set" --limit 20 --json -
  expect 4 "cannot open" pare-inspect "$folder/missing.onnx"
done
long=$(printf '/a%.0s' $(seq 2200))
expect 4 "File name too long" pare-inspect "$long.onnx"
expect 4 "File name too long" pare-emit digits_cnn.onnx -o "$long.pare"
expect 4 "" pare-emit digits_cnn.onnx -o "${long:0:4000}/m.pare"
expect 4 "File name too long" pare-eval digits_cnn.onnx --data "idx:$(printf 'x%.0s' $(seq 4500))"
for setting in LC_ALL=de_DE.UTF-8 LC_NUMERIC=de_DE LC_ALL=no-such LANG=tr_TR.UTF-8 TZ=Nowhere TZ=:/dev/zero \
  SOURCE_DATE_EPOCH=x HOME=/nonexistent TMPDIR=/nonexistent TMPDIR= PATH=/nonexistent; do
  env "$setting" "$bin/pare-emit" digits_cnn.onnx -o env.pare -q || fail "exit $? with $setting"
  cmp env.pare reference.pare || fail "the output differs with $setting"
done
env -i "$bin/pare-emit" digits_cnn.onnx -o env.pare -q || fail "no environment at all"
cmp env.pare reference.pare || fail "the output differs without an environment"
if command -v faketime > /dev/null; then
  faketime '1970-01-02' "$bin/pare-emit" digits_cnn.onnx -o env.pare -q && cmp env.pare reference.pare || fail "clock"
fi

row 82 # limits
# Exit 0 or 6 with a message, whatever the limit (127: the loader could not map
# the libraries), and an output only where it is 0.
if ! $sanitized; then
  refused=0
  for kilobytes in $(seq 8000 4000 96000); do
    for threads in 1 4; do
      rm -f q.onnx
      (ulimit -v "$kilobytes" && "$bin/pare-quantize" digits_cnn.onnx --calib "$train" --limit 8 -o q.onnx -q \
        --threads $threads > out.txt 2> err.txt)
      status=$?
      case $status in
        0) [ -s q.onnx ] || fail "RLIMIT_AS $kilobytes: no output" ;;
        6) refused=$((refused + 1)) && grep -q "^pare-quantize: " err.txt || fail "RLIMIT_AS $kilobytes: no message" ;;
        127) ;;
        *) fail "RLIMIT_AS $kilobytes, $threads threads: exit $status: $(head -c 200 err.txt)" ;;
      esac
      [ $status -eq 0 ] || [ ! -e q.onnx ] || fail "RLIMIT_AS $kilobytes: a partial output"
    done
  done
  [ $refused -gt 0 ] || fail "RLIMIT_AS: no limit was small enough"
  (failed=0 && ulimit -v 400000 && expect 6 "at most" pare-bench reference.pare --batch 65536 --iterations 1; exit $failed) ||
    fail "a batch that does not fit RLIMIT_AS"
fi
# The loader needs a number too (127), and so do files that this script inherited.
refused=0
for files in $(seq 4 20); do
  rm -f few.pare
  (ulimit -n "$files" && exec "$bin/pare-emit" digits_cnn.onnx -o few.pare -q) 2> err.txt
  status=$?
  case $status in
    0) cmp few.pare reference.pare || fail "RLIMIT_NOFILE $files: another output" ;;
    4)
      refused=$((refused + 1))
      grep -q "^pare-emit: .*Too many open files" err.txt || fail "RLIMIT_NOFILE $files: $(cat err.txt)"
      [ ! -e few.pare ] || fail "RLIMIT_NOFILE $files: a partial output"
      ;;
    127) ;;
    *) $sanitized || fail "RLIMIT_NOFILE $files: exit $status: $(cat err.txt)" ;;
  esac
done
$sanitized || [ $refused -gt 0 ] || fail "RLIMIT_NOFILE: no limit was small enough"
if ! $sanitized; then
  (failed=0
    ulimit -s 256
    expect 0 quantized pare-quantize digits_cnn.onnx --calib "$train" --limit 16 -o small.onnx --threads 4
    expect 0 top-1 pare-eval small.onnx --data "$test_set" --limit 50 --threads 4
    expect 0 median pare-bench small.onnx --iterations 2 --threads 4
    printf '[%.0s' $(seq 50000) > deep.json
    expect 3 preprocess pare-eval digits_cnn.onnx --data "$test_set" --preprocess deep.json
    exit $failed) || fail "RLIMIT_STACK"
fi
rm -f limited.pare
(ulimit -f 8; "$bin/pare-emit" digits_cnn.onnx -o limited.pare 2> err.txt; [ $? -eq 4 ]) || fail "RLIMIT_FSIZE"
grep -q "File too large" err.txt || fail "RLIMIT_FSIZE: $(cat err.txt)"
[ ! -e limited.pare ] || fail "RLIMIT_FSIZE: a partial file is left"
[ -z "$(find . -name '*tmp*')" ] || fail "temporary files are left: $(find . -name '*tmp*')"
if ! $sanitized && unshare -rm true 2> /dev/null; then
  unshare -rm bash -c "mount -t tmpfs none /proc && mount -t tmpfs none /sys &&
    '$bin/pare' emit digits_cnn.onnx -o noproc.pare -q && '$bin/pare-bench' noproc.pare --iterations 2 -q > /dev/null" ||
    fail "no /proc and no /sys: exit $?"
  cmp noproc.pare reference.pare || fail "the output differs without /proc"
fi
taskset -c "$(taskset -cp $$ | sed 's/.*[ ]//; s/[,-].*//')" "$bin/pare-bench" reference.pare --iterations 2 -q > /dev/null ||
  fail "one CPU"
for setting in OMP_NUM_THREADS=garbage OMP_NUM_THREADS=0 OMP_NUM_THREADS=-3 OMP_NUM_THREADS=99999999 OMP_DYNAMIC=true \
  OMP_THREAD_LIMIT=1 OMP_PROC_BIND=close OMP_STACKSIZE=16k OMP_SCHEDULE=x; do
  env "$setting" "$bin/pare-bench" reference.pare --iterations 2 --threads 3 > /dev/null 2>&1 || fail "$setting: exit $?"
done

row 83 # two writers leave one whole file
for _ in 1 2 3 4 5 6 7 8; do "$bin/pare-emit" digits_cnn.onnx -o shared.pare -q & done
wait
cmp shared.pare reference.pare || fail "eight writers left another file"
for _ in 1 2 3; do
  "$bin/pare-emit" digits_cnn.onnx -o either.pare -q & "$bin/pare-emit" digits_cnn.onnx -o either.pare --raw -q &
  wait
  expect 0 parameters pare-inspect either.pare
done
for killed in 1 2 3 4 5 6; do
  "$bin/pare-emit" digits_cnn.onnx -o shared.pare -q & sleep "0.0$killed" && kill -9 $! 2> /dev/null
  wait $! 2> /dev/null
  cmp shared.pare reference.pare || fail "a killed writer changed the file"
done
"$bin/pare-emit" digits_cnn.onnx -o shared.pare -q || fail "the run after a killed one"
[ -z "$(find . -name '*tmp*')" ] || fail "temporary files are left: $(find . -name '*tmp*')"
(umask 077; "$bin/pare-emit" digits_cnn.onnx -o private.pare -q)
[ "$(stat -c %a private.pare)" = 600 ] || fail "umask"
(umask 022; "$bin/pare-emit" digits_cnn.onnx -o open.pare -q)
[ "$(stat -c %a open.pare)" = 644 ] || fail "umask 022"
if [ "$(id -u)" -eq 0 ] && command -v setpriv > /dev/null; then
  chmod 755 . && mkdir -m 755 roots && cp digits_cnn.onnx roots/
  setpriv --reuid 65534 --regid 65534 --clear-groups "$bin/pare-emit" roots/digits_cnn.onnx -o roots/m.pare 2> err.txt
  status=$?
  # 126: that user may not even reach the program.
  [ $status -eq 126 ] || [ $status -eq 127 ] || { [ $status -eq 4 ] && grep -q denied err.txt; } ||
    fail "another user: exit $status: $(cat err.txt)"
fi
exit $failed
