#!/bin/bash
# The runtime with what it needs of Pare stays below 400 KB.
set -eu
if [ ! -f "$PARE_BUILD/CMakeCache.txt" ] || grep -q '^PARE_SANITIZE:[A-Z]*=.\+' "$PARE_BUILD/CMakeCache.txt" \
  || ! grep -q '^CMAKE_BUILD_TYPE:[A-Z]*=Release' "$PARE_BUILD/CMakeCache.txt"; then
  echo "skipped: only a release build is measured"
  exit 77
fi
size=$("$PARE_TESTS/law/runtime_size" "$PARE_BUILD")
echo "$size bytes, the limit is 400000"
[ "$size" -le 400000 ]
