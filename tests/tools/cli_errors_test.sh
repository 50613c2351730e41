#!/bin/bash
# BADINPUT 1.4: command line and environment.
. "$PARE_TESTS/tools/sample.sh"
tools="pare-inspect pare-eval pare-quantize pare-emit pare-run pare-bench pare-compare"

# row 79: options and numbers
for tool in $tools; do
  expect 0 examples: $tool --help
  expect 0 0. $tool --version
  expect 2 usage $tool
  expect 2 "unknown option" $tool digits_cnn.onnx --nonsense
done
expect 2 "needs a value" pare-bench digits_cnn.onnx --threads
expect 2 "given twice" pare-bench digits_cnn.onnx --threads 1 --threads 2
for number in "" 1e999 nan -0 0x10 12abc 1,000 1e3 " 1" 0 -1 1000000000; do
  expect 2 "--threads" pare-bench digits_cnn.onnx --threads "$number"
done
expect 2 "one of" pare-quantize digits_cnn.onnx --calib "$train" -o q.onnx --weights int9
expect 2 "takes no value" pare-bench digits_cnn.onnx --quiet=1
expect 2 "unexpected argument" pare-emit a b -o c
expect 4 "-odd.onnx" pare-inspect -- -odd.onnx
expect 2 SPEC pare-eval digits_cnn.onnx
expect 2 "" pare-eval digits_cnn.onnx --data nonsense:x
expect 2 NAME pare-inspect digits_cnn.onnx --shape image

# row 80: outputs
cp digits_cnn.onnx keep.onnx
expect 2 "is the input" pare-emit digits_cnn.onnx -o digits_cnn.onnx
ln -s digits_cnn.onnx link.onnx
expect 2 "is the input" pare-emit digits_cnn.onnx -o link.onnx
cmp digits_cnn.onnx keep.onnx || fail "the input was touched"
mkdir folder
expect 4 "" pare-emit digits_cnn.onnx -o folder
expect 4 "" pare-emit digits_cnn.onnx -o missing/x.pare
expect 4 "" pare-emit digits_cnn.onnx -o /dev/full
expect 2 "" pare-emit digits_cnn.onnx
[ -z "$(find . -name '*tmp*')" ] || fail "temporary files are left: $(find . -name '*tmp*')"

# rows 3, 6: what is not a model
expect 3 "" pare-inspect folder
expect 4 "" pare-inspect missing.onnx
mkfifo fifo
expect 3 "" pare-inspect fifo
expect 3 "" pare-inspect /dev/zero
: > empty.onnx
expect 3 "" pare-inspect empty.onnx
echo hello > text.onnx
expect 3 "text.onnx" pare-inspect text.onnx

# row 81: streams and locale
"$PARE_BIN/pare-inspect" digits_cnn.onnx > /dev/full 2> err.txt
[ $? -eq 4 ] || fail "a full standard output is not reported"
"$PARE_BIN/pare-inspect" digits_cnn.onnx >&- 2> err.txt
[ $? -eq 4 ] || fail "a closed standard output is not reported"
"$PARE_BIN/pare-inspect" digits_cnn.onnx 2> /dev/null | head -n 1 > /dev/null
mkdir "odd
 näme" && cp digits_cnn.onnx "odd
 näme/m.onnx"
expect 0 parameters pare-inspect "odd
 näme/m.onnx"
LC_ALL=de_DE.UTF-8 TZ=Nowhere expect 0 ratio pare-emit digits_cnn.onnx -o de.pare
(unset HOME TMPDIR; expect 0 parameters pare-inspect digits_cnn.onnx)

# row 82: limits
(ulimit -f 8; "$PARE_BIN/pare-emit" digits_cnn.onnx -o limited.pare 2> err.txt; [ $? -eq 4 ]) || fail "RLIMIT_FSIZE"
[ ! -e limited.pare ] || fail "a partial file is left"
OMP_NUM_THREADS=garbage "$PARE_BIN/pare-bench" digits_cnn.onnx --iterations 2 > /dev/null 2>&1 || fail "OMP_NUM_THREADS"

# row 83: two writers leave one whole file
for _ in 1 2 3 4; do "$PARE_BIN/pare-emit" digits_cnn.onnx -o shared.pare -q & done
wait
expect 0 parameters pare-inspect shared.pare
(umask 077; "$PARE_BIN/pare-emit" digits_cnn.onnx -o private.pare -q)
[ "$(stat -c %a private.pare)" = 600 ] || fail "umask"

# row 84: preprocessing records
rm digits_cnn.json
expect 2 preprocess pare-eval digits_cnn.onnx --data "$test_set"
for record in '{"sclae":1}' '{"scale":1,"scale":2}' '{"scale":"1"}' '{"std":[0]}' '{"mean":[]}' '{' '{"task":"x"}' '{"resize":-1}'; do
  expect 3 preprocess pare-eval digits_cnn.onnx --data "$test_set" --preprocess "$record"
done
expect 4 no-such pare-eval digits_cnn.onnx --data "$test_set" --preprocess no-such.json
exit $failed
