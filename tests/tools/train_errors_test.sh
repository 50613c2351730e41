#!/bin/bash
# What pare-train refuses, what it says, and what is left then: rows 76, 79, 80 and 90 of the bad inputs.
. "$PARE_TESTS/tools/sample.sh"
. "$PARE_TESTS/tools/training.sh"
tiny="--data $train --epochs 2 --batch 50 --threads 1 -q"

# refuses STATUS TEXT OPTIONS...: small.onnx on the usual data, without an output
refuses() {
  # shellcheck disable=SC2086
  expect "$1" "$2" pare-train small.onnx $tiny -o bad.onnx "${@:3}"
}

# on SPEC STATUS TEXT OPTIONS...: ... on other data
on() {
  expect "$2" "$3" pare-train small.onnx --data "$1" --threads 1 -o bad.onnx "${@:4}"
}

row 76 # sets that do not fit the network
on "$train" 2 "batch (--batch) of at most the 200 samples to train on, found 201" --batch 201
on "$train" 2 "at most the 100 samples" --batch 101 --val-fraction 0.5
on "$train" 0 parameters --limit 90 --max-steps 1 # by itself the batch is no larger than the set
rm bad.onnx
python3 - <<'P'
import gzip, struct
images, labels = open("digits/train-images.idx3-ubyte", "rb").read(), open("digits/train-labels.idx1-ubyte", "rb").read()
y = list(labels[8:])
def put(name, labels):
    open(name, "wb").write(struct.pack(">II", 0x801, len(labels)) + bytes(labels))
put("eleven", [10 if i == 7 else c for i, c in enumerate(y)])
put("gaps", [c if c not in (3, 8) else 0 for c in y])
put("high", [c + 1 for c in y])
def npy(name, kind, shape, data):
    head = ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (kind, shape)).ljust(117) + "\n"
    open(name, "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data)
npy("x.npy", "<f4", "(40, 3)", struct.pack("<120f", *(i % 7 / 7 for i in range(120))))
npy("y.npy", "<f4", "(40, 1)", struct.pack("<40f", *(float("nan") if i == 33 else i for i in range(40))))
npy("nan.npy", "<f4", "(40, 3)", struct.pack("<120f", *(float("nan") if i == 50 else 0.5 for i in range(120))))
npy("two.npy", "<f4", "(40, 2)", struct.pack("<80f", *range(80)))
P
pictures=idx:digits/train-images.idx3-ubyte
on "$pictures,eleven" 3 "sample 7: expected a label whose class (label + label_offset 0) is one of the network's 10, found label 10"
on "$train" 3 "eleven, sample 7: expected a label whose class" --val "$pictures,eleven"
on "$pictures,gaps" 2 "the network's 10 classes, found none of 2 classes (3, 8)"
on "$pictures,gaps" 0 parameters --max-steps 1 --batch 50 --allow-empty-classes
mv bad.onnx gaps.onnx
on "$pictures,gaps" 0 parameters --max-steps 1 --batch 50 --allow-empty-classes --class-weights balanced
cmp -s bad.onnx gaps.onnx && fail "balanced weights of the other classes make no difference"
rm -f bad.onnx
# A class of which the validation part took all samples is empty too.
on "$pictures,gaps" 2 "found none of 2 classes" --val-fraction 0.5
on "$pictures" 2 "expected class labels"
on "$pictures,high" 3 "found label 10"
sed 's/"task"/"label_offset": -1, "task"/' small.json > offset.json
expect 0 parameters pare-build offset.json -o offset.onnx
expect 0 parameters pare-train offset.onnx --data "$pictures,high" --max-steps 1 --batch 50 --threads 1 -o good.onnx
expect 3 "label_offset -1) is one of the network's 10, found label 0" \
  pare-train offset.onnx --data "$train" --max-steps 1 --batch 50 --threads 1 -o bad.onnx
on "npy:x.npy,two.npy" 2 "expected class labels in \"npy:x.npy,two.npy\" for this loss, found real numbers"
on "$train" 2 "validation set npy:x.npy,y.npy: expected class labels for the network's 10 outputs" --val npy:x.npy,y.npy
on "$train" 2 "validation set $pictures: expected class labels" --val "$pictures"
cat > mlp.json <<'J'
{"family": "mlp", "inputs": 3, "hidden": [4], "outputs": 1, "activation": "relu", "dropout": 0,
 "preprocess": {"layout": "flat", "scale": 1, "task": "regression"}}
J
expect 0 parameters pare-build mlp.json -o mlp.onnx
regression=(pare-train mlp.onnx --batch 10 --threads 1 -o bad.onnx --data)
expect 3 "sample 33" "${regression[@]}" npy:x.npy,y.npy
expect 3 "sample 16: expected finite numbers" "${regression[@]}" npy:nan.npy,y.npy
expect 3 "npy:x.npy,y.npy, sample 33: expected finite targets, found nan" "${regression[@]}" npy:x.npy,y.npy#0:30 --val npy:x.npy,y.npy
# A bad input that validation finds costs nothing of the epoch.
expect 3 "npy:nan.npy,y.npy#0:30, sample 16" "${regression[@]}" npy:x.npy,y.npy#0:30 --val npy:nan.npy,y.npy#0:30 --epochs 1 --checkpoint epoch.ckpt
expect 0 parameters "${regression[@]}" npy:x.npy,y.npy#0:30 --val npy:x.npy,y.npy#0:30 --epochs 1 --checkpoint whole.ckpt
[ -s epoch.ckpt ] || fail "the epoch before a bad validation is lost"
rm -f bad.onnx
expect 2 "expected 1 targets a sample" "${regression[@]}" npy:x.npy,two.npy
expect 2 "expected target values for the network's 1 outputs, found 2 target values a sample" \
  "${regression[@]}" npy:x.npy,y.npy#0:30 --val npy:x.npy,two.npy
expect 3 "validation set npy:two.npy,y.npy#0:30, sample 0" "${regression[@]}" npy:x.npy,y.npy#0:30 --val npy:two.npy,y.npy#0:30
expect 2 "augmentation" "${regression[@]}" npy:x.npy,y.npy#0:30 --augment flip

row 79 # options and numbers
for tool in pare-train pare-distill; do
  expect 0 examples: $tool --help
  expect 0 0. $tool --version
  expect 2 usage $tool
  expect 2 "unknown option" $tool small.onnx --nonsense
done
for number in "" nan -nan inf -1 1e999 0x1 1,5 " 1"; do
  for option in lr momentum weight-decay l1 clip-norm warmup gamma final-lr label-smoothing huber-delta ema val-fraction; do
    refuses 2 "option --$option: expected a number from" "--$option=$number"
  done
  for option in epochs max-steps patience checkpoint-steps folds weight-bits activation-bits; do
    expect 2 "option --$option: expected a whole number from" pare-train small.onnx "--$option=$number"
  done
done
refuses 2 "learning rate: expected a finite number above 0, found 0" --lr 0
refuses 2 "from 0 to 1000000" --lr 1e7
refuses 2 "momentum: expected at least 0 and below 1, found 1" --momentum 1
refuses 2 "nesterov: expected a momentum above 0" --nesterov --momentum 0
refuses 2 "nesterov: expected SGD, found Adam" --nesterov --optimizer adam
refuses 2 "one of sgd, adam, adamw" --optimizer lamb
refuses 2 "one of constant, step, cosine, one-cycle" --schedule linear
refuses 2 "warm-up: expected fewer than the run's 8 steps, found 8" --warmup 2
refuses 2 "milestones: expected number 2 above 0.5" --schedule step --milestones 0.5,0.2
refuses 2 "option --milestones: expected at most 16 numbers" --schedule step --milestones 0.1,x
refuses 2 "option --huber-delta: expected a number from 1e-12" --loss huber --huber-delta 0
refuses 2 "--momentum belongs to --optimizer sgd" --optimizer adam --momentum 0.5
refuses 2 "--sparsity-until belongs to --sparsity" --sparsity-until 0.5
refuses 2 "--sparsity-scope belongs to --sparsity" --sparsity-scope layer
refuses 2 "option --sparsity: expected a number from 0 to 0.9999" --sparsity 1
refuses 2 "--final-lr belongs to --schedule cosine" --schedule constant --final-lr 0.1
expect 2 "the fold that is left out chooses nothing" pare-train small.onnx --data "$train" --folds 2 --patience 1
refuses 2 "gamma: expected above 0" --schedule step --gamma 0
for words in crop crop= crop=1.5 crop=x flip=1 flip, ,flip sepia rotate; do
  refuses 2 "option --augment: expected flip, flip-vertical, crop=N" --augment "$words"
done
refuses 2 "expected rotation from 0 to 180, found 999" --augment rotate=999
refuses 2 "expected cutout of at most 28" --augment cutout=99
refuses 2 "expected 10 class weights, found 2" --class-weights 1,2
refuses 2 "expected weights of at least 0, found -1" --class-weights -1,1,1,1,1,1,1,1,1,1
refuses 2 "expected a weight above 0" --class-weights 0,0,0,0,0,0,0,0,0,0
refuses 2 "this run has another loss" --loss bce --label-smoothing 0.1
refuses 2 "this run has another loss" --loss bce --class-weights balanced
refuses 2 "expected 10 targets a sample" --loss mse
refuses 2 'expected a node named "nothing" (to be frozen), found none' --freeze nothing
refuses 2 "everything is frozen (--freeze)" --freeze '*'
refuses 2 'expected a node named "nothing" (to be excluded)' --qat --qat-exclude nothing
for option in "--weight-bits 4" "--activation-bits 4" "--first-last-bits 4" "--qat-exclude x" "--pairs free" "--calib $train"; do
  # shellcheck disable=SC2086
  refuses 2 "belong to --qat, which is not given" $option
done
refuses 2 "--patience needs" --patience 2
refuses 2 "exclude each other" --val "$test_set" --val-fraction 0.1
refuses 2 "--folds measures" --folds 3
expect 2 "--folds measures" pare-train small.onnx --data "$train" --folds 3 --log log.csv
expect 2 "from 2 to 100" pare-train small.onnx --data "$train" --folds 101
expect 2 "expected 2 to 20 folds" pare-train small.onnx --data "$train" --folds 90 --limit 20
refuses 2 "--checkpoint-steps needs" --checkpoint-steps 3
expect 2 "option --output is needed" pare-train small.onnx --data "$train"
expect 2 "option --data SPEC is needed" pare-train small.onnx -o bad.onnx
expect 0 ratio pare-emit small.onnx -o small.pare
expect 5 "final; train the ONNX model" pare-train small.pare --data "$train" -o bad.onnx

row 80 # outputs
cp small.onnx keep.onnx
for option in --output --checkpoint --log --html --json; do
  for input in small.onnx digits/train-images.idx3-ubyte digits/test-labels.idx1-ubyte; do
    # shellcheck disable=SC2086
    expect 2 "is the input" pare-train small.onnx --data "$train" --val "$test_set" --max-steps 1 "$option" $input \
      $([ $option = --output ] || echo -o bad.onnx)
  done
  [ $option = --output ] || refuses 2 "two outputs name the same file bad.onnx" $option bad.onnx
  [ $option = --output ] || refuses 4 "cannot open the folder" $option nowhere/x
  [ $option = --output ] || refuses 4 "found a folder" $option digits
done
# shellcheck disable=SC2086
expect 4 "cannot open the folder" pare-train small.onnx $tiny -o nowhere/x
cmp small.onnx keep.onnx || fail "the input changed"

row 90 # a loss, gradient or weight that is not finite
refuses 2 "first in the output of node \"block" --lr 1e6 --freeze-batchnorm
refuses 2 " is kept: run.ckpt" --lr 1e6 --freeze-batchnorm --checkpoint run.ckpt --checkpoint-steps 1
grep -qE "^pare-train: small.onnx: step [2-9] \(epoch [12]\): expected a finite loss, found NaN or infinity" err.txt || fail "$(cat err.txt)"
# The checkpoint loads, and the same happens again.
cp run.ckpt kept.ckpt
refuses 2 " is kept: run.ckpt" --lr 1e6 --freeze-batchnorm --resume run.ckpt --checkpoint-steps 1
cmp run.ckpt kept.ckpt || fail "the checkpoint is another one"
# What the last step of an epoch spoils is not saved either, nor is it the result.
refuses 2 "expected finite weights after the update" --lr 1e6 --checkpoint spoilt.ckpt
[ ! -e spoilt.ckpt ] || fail "weights that are not finite are in a checkpoint"
# shellcheck disable=SC2086
quietly pare-train small.onnx $tiny --lr 1e6 --clip-norm 1e-6 -o clipped.onnx
python3 - <<'P'
import struct
data = bytearray(open("small.onnx", "rb").read())
at = data.rindex(b"block2.conv.weight") # of its initializer, where nodes come first; raw_data follows
start = data.index(b"\x4a", at) + 3     # behind its tag and two bytes of length
data[start:start + 4] = struct.pack("<f", float("nan"))
open("spoilt.onnx", "wb").write(data)
P
# shellcheck disable=SC2086
expect 3 'expected finite weights to begin with, found NaN or infinity in "block2.conv.weight"' pare-train spoilt.onnx $tiny -o bad.onnx
[ ! -e bad.onnx ] || fail "a refused run left an output"
[ -z "$(find . -name '*tmp*')" ] || fail "temporary files are left: $(find . -name '*tmp*')"
exit $failed
