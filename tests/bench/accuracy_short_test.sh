#!/bin/bash
# The short version of bench/accuracy: golden outputs, exactness, bytes, memory, size.
shared=${PARE_SHARED:-$PARE_TESTS/../../shared}
if [ ! -d "$shared/models" ]; then
  echo "skipped: no shared models and data (set PARE_SHARED)"
  exit 77
fi
if ! grep -q '^CMAKE_BUILD_TYPE:[A-Z]*=Release' "$PARE_BUILD/CMakeCache.txt"; then
  echo "skipped: only a release build is measured"
  exit 77
fi
export PARE_SHARED=$shared
exec "$PARE_TESTS/../bench/accuracy" --short --build "$PARE_BUILD" --json /dev/null
