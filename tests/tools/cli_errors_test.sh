#!/bin/bash
# Rows 79, 80 and 84 of the bad inputs (and what a tool says to rows 1 to 6):
# options, numbers, outputs, preprocessing records.
. "$PARE_TESTS/tools/sample.sh"
tools="pare-inspect pare-eval pare-quantize pare-build pare-student pare-prune pare-emit pare-run pare-bench pare-compare"

row 79 # options and numbers
for tool in $tools; do
  expect 0 examples: $tool --help
  expect 0 0. $tool --version
  expect 2 usage $tool
  expect 2 "unknown option" $tool digits_cnn.onnx --nonsense
  expect 2 "unknown option" $tool digits_cnn.onnx -Z
done
expect 2 "needs a value" pare-bench digits_cnn.onnx --threads
expect 2 "given twice" pare-bench digits_cnn.onnx --threads 1 --threads 2
expect 2 "given twice" pare-emit digits_cnn.onnx -o a.pare --output b.pare
for number in "" 1e999 nan -0 0x10 12abc 1,000 1e3 " 1" 0 -1 1000000000 99999999999999999999 +1 ٣; do
  expect 2 "--threads" pare-bench digits_cnn.onnx --threads "$number"
  expect 2 "--threads" pare-bench digits_cnn.onnx "--threads=$number"
  expect 2 "--batch" pare-bench digits_cnn.onnx --batch "$number"
  [ "$number" = 1000000000 ] || expect 2 "--limit" pare-eval digits_cnn.onnx --data "$test_set" --limit "$number"
done
for number in "" 1e999 nan -nan inf -1 101 0x10 1,5 "5 " 99.9.9; do
  expect 2 "--max-drop" pare-eval digits_cnn.onnx --data "$test_set" --against digits_cnn.onnx --max-drop "$number"
  expect 2 "--percentile" pare-quantize digits_cnn.onnx --calib "$train" -o q.onnx --percentile "$number"
done
expect 2 "one of" pare-quantize digits_cnn.onnx --calib "$train" -o q.onnx --weights int9
expect 2 "one of" pare-quantize digits_cnn.onnx --calib "$train" -o q.onnx --weights ""
expect 2 "takes no value" pare-bench digits_cnn.onnx --quiet=1
expect 2 "unexpected argument" pare-emit a b -o c
expect 4 "-odd.onnx" pare-inspect -- -odd.onnx
cp digits_cnn.onnx ./--help
expect 0 parameters pare-inspect -- --help
expect 2 "" pare-inspect --
expect 2 SPEC pare-eval digits_cnn.onnx
for spec in nonsense:x idx: idx "idx:#" "$test_set#9:3" "$test_set#x" ""; do
  expect 2 "" pare-eval digits_cnn.onnx --data "$spec"
done
for shape in image =1x2 image= image=1x image=x1 image=0x1 image=-1x1 image=1x1x1x1x1x1x1x1x1 image=99999999999 nobody=1x1x28x28; do
  expect 2 "" pare-inspect digits_cnn.onnx --shape "$shape"
done
expect 2 verb "pare" nonsense

row 80 # outputs
cp digits_cnn.onnx keep.onnx
expect 2 "is the input" pare-emit digits_cnn.onnx -o digits_cnn.onnx
expect 2 "is the input" pare-emit digits_cnn.onnx -o ./digits_cnn.onnx
ln -s digits_cnn.onnx link.onnx
expect 2 "is the input" pare-emit digits_cnn.onnx -o link.onnx
expect 2 "is the input" pare-emit link.onnx -o digits_cnn.onnx
ln digits_cnn.onnx hard.onnx
expect 2 "is the input" pare-emit digits_cnn.onnx -o hard.onnx
expect 2 "is the input" pare-inspect digits_cnn.onnx --json digits_cnn.onnx
expect 2 "is the input" pare-quantize digits_cnn.onnx --calib "$train" -o digits/train-images.idx3-ubyte
expect 2 "is the input" pare-eval digits_cnn.onnx --data "$test_set" --json digits/test-labels.idx1-ubyte
expect 2 "is the input" pare-eval hard.onnx --data "$test_set" --against keep.onnx --json keep.onnx
expect 2 "is the input" pare-compare digits_cnn.onnx --data "$test_set" --html digits_cnn.onnx
expect 2 "same file" pare-emit digits_cnn.onnx -o both --json both
cmp digits_cnn.onnx keep.onnx || fail "the input was touched"
mkdir folder
for output in folder missing/x.pare /dev/full /dev/null . .. folder/ /proc/self/x.pare; do
  expect 4 "" pare-emit digits_cnn.onnx -o "$output"
  expect 4 "" pare-quantize digits_cnn.onnx --calib "$train" --limit 4 -o "$output"
  expect 4 "" pare-inspect digits_cnn.onnx --json "$output"
done
[ -c /dev/null ] || fail "a device was replaced"
expect 2 "" pare-emit digits_cnn.onnx
expect 2 "empty" pare-emit digits_cnn.onnx -o ""
long=$(printf 'n%.0s' $(seq 300))
expect 4 "name" pare-emit digits_cnn.onnx -o "$long"
# An existing file is replaced as a whole, and stays where the new one cannot be made.
expect 0 ratio pare-emit digits_cnn.onnx -o old.pare
cp old.pare copy.pare
expect 3 "" pare-emit /dev/zero -o old.pare
(ulimit -f 8; "$PARE_BIN/pare-emit" digits_cnn.onnx -o old.pare 2> err.txt)
cmp old.pare copy.pare || fail "a failed run changed the old output"
expect 0 ratio pare-emit digits_cnn.onnx -o old.pare
cmp old.pare copy.pare || fail "the output was not replaced"
# A folder that may not be written, a disk that is read-only, and one that is full.
if unshare -rm true 2> /dev/null; then
  mkdir disk
  full=$(unshare -rm bash -c "mount -t tmpfs -o size=32k none disk && '$PARE_BIN/pare-emit' digits_cnn.onnx -o disk/m.pare -q
    echo \"status \$? \$(ls -A disk | wc -l)\"" 2>&1)
  [[ $full == *"No space left"*"status 4 0" ]] || fail "full disk: $full"
  locked=$(unshare -rm bash -c "mount -t tmpfs -o ro none disk && '$PARE_BIN/pare-emit' digits_cnn.onnx -o disk/m.pare -q
    echo status \$?" 2>&1)
  [[ $locked == *"Read-only"*"status 4" ]] || fail "read-only disk: $locked"
fi
if [ "$(id -u)" -ne 0 ]; then
  mkdir closed && chmod 555 closed
  expect 4 denied pare-emit digits_cnn.onnx -o closed/m.pare
fi
[ -z "$(find . -name '*tmp*')" ] || fail "temporary files are left: $(find . -name '*tmp*')"

row 3 # what is not a model
expect 3 "" pare-inspect folder
expect 4 "" pare-inspect missing.onnx
mkfifo fifo
expect 3 "" pare-inspect fifo
expect 3 "" pare-inspect /dev/zero
for spec in idx:fifo idx:/dev/zero cifar10:fifo npy:fifo npy:/dev/zero csv:fifo csv:folder "images:folder?labels=../fifo"; do
  expect 3 "expected a regular file" pare-eval digits_cnn.onnx --data "$spec"
done
expect 4 "folder of pictures" pare-eval digits_cnn.onnx --data images:fifo
row 1
: > empty.onnx
expect 3 "" pare-inspect empty.onnx
row 6
echo hello > text.onnx
expect 3 "text.onnx" pare-inspect text.onnx

row 84 # preprocessing records
rm digits_cnn.json
expect 2 preprocess pare-eval digits_cnn.onnx --data "$test_set"
for record in '{"sclae":1}' '{"scale":1,"scale":2}' '{"scale":"1"}' '{"std":[0]}' '{"mean":[]}' '{' '{"task":"x"}' \
  '{"resize":-1}' '{"resize":1.5}' '{"resize":99999}' '{"scale":1e999}' '{"scale":NaN}' '{"scale":-1}' '{"std":[-1]}' \
  '{"mean":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}' '{"mean":{"a":1}}' '{"layout":"HCWN"}' '{"layout":null}' \
  '{"label_offset":99999999}' '{} {}' '{"scale":1}x' $'{"sc\xffale":1}'; do
  expect 3 preprocess pare-eval digits_cnn.onnx --data "$test_set" --preprocess "$record"
done
expect 4 no-such pare-eval digits_cnn.onnx --data "$test_set" --preprocess no-such.json
printf '[%.0s' $(seq 100000) > deep.json
expect 3 preprocess pare-eval digits_cnn.onnx --data "$test_set" --preprocess deep.json
(printf '{"mean":'; printf '[%.0s' $(seq 100000)) > deep.json
expect 3 preprocess pare-eval digits_cnn.onnx --data "$test_set" --preprocess deep.json
head -c 2000000 /dev/zero | tr '\0' ' ' > huge.json
expect 6 "at most 1048576 bytes" pare-eval digits_cnn.onnx --data "$test_set" --preprocess huge.json
: > empty.json
expect 3 preprocess pare-eval digits_cnn.onnx --data "$test_set" --preprocess empty.json
expect 3 "" pare-eval digits_cnn.onnx --data "$test_set" --preprocess folder
for record in '[1]' '"text"' '7'; do
  echo "$record" > other.json
  expect 3 preprocess pare-eval digits_cnn.onnx --data "$test_set" --preprocess other.json
done
exit $failed
