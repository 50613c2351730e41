# Sourced by the tools' tests: the sample network and a small drawn data set in
# a scratch folder, and helpers. Needs PARE_BIN and PARE_TESTS.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
cp "$PARE_TESTS/../models/digits/digits_cnn.onnx" "$PARE_TESTS/../models/digits/digits_cnn.json" .
"$PARE_BIN/pare-draw-digits" -o digits --train 200 --test 300 --seed 7 -q || exit 1
train=idx:digits/train-images.idx3-ubyte,digits/train-labels.idx1-ubyte
test_set=idx:digits/test-images.idx3-ubyte,digits/test-labels.idx1-ubyte
failed=0
row=

# row NUMBER: which row of the bad inputs the following lines are about
row() {
  row="row_$1: "
}

fail() {
  echo "FAILED: $row$*" | cut -c 1-600
  failed=1
}

# expect STATUS TEXT COMMAND...: the exit code, and text in what it says
expect() {
  local status=$1 text=$2 found
  shift 2
  "$PARE_BIN/$1" "${@:2}" > out.txt 2> err.txt
  found=$?
  [ "$found" -eq "$status" ] || fail "$* : expected exit $status, found $found: $(head -c 300 err.txt)"
  [ "$status" -eq 0 ] || [ -s err.txt ] || fail "$* : expected a message, found none"
  cat out.txt err.txt | grep -qF -- "$text" || fail "$* : expected \"$text\", found: $(cat out.txt err.txt | head -c 300)"
}
