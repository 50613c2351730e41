#!/bin/bash
# pare-distill: each way to learn from a teacher, its cache, and what is refused; row 89 of the bad inputs.
. "$PARE_TESTS/tools/sample.sh"
. "$PARE_TESTS/tools/training.sh"
# The sample network knows the digits; small.onnx, from a recipe, is the student.
usual=(small.onnx --teacher digits_cnn.onnx --data "$train" --epochs 2 --batch 50 --threads 1 -q)

# --- it teaches without a single label --------------------------------------------------------------
python3 - <<'P'
import struct
pixels = open("more/train-images.idx3-ubyte", "rb").read()[16:]
head = ("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 1, 28, 28), }" % (len(pixels) // 784)).ljust(117) + "\n"
with open("x.npy", "wb") as f:
    f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
    f.write(struct.pack("<%df" % len(pixels), *((p / 255 - 0.17) / 0.31 for p in pixels)))
P
cat > lenet.json <<'J'
{"family": "lenet-300-100", "input": [1, 28, 28], "classes": 10, "activation": "relu", "dropout": 0}
J
expect 0 parameters pare-build lenet.json -o pupil.onnx
rm lenet.json # a record of the preprocessing would have this name
as_is='{"layout": "NCHW", "task": "classification"}'
expect 0 parameters pare-distill pupil.onnx --teacher digits_cnn.onnx --data npy:x.npy --preprocess "$as_is" --epochs 6 \
  --batch 50 --threads 1 --optimizer adam --lr 0.003 -o taught.onnx
expect 2 "a teacher that fades leaves the labels' loss" pare-distill pupil.onnx --teacher digits_cnn.onnx --data npy:x.npy \
  --preprocess "$as_is" --teacher-until 0.5 -o bad.onnx
expect 2 "expected class labels" pare-train pupil.onnx --data npy:x.npy --preprocess "$as_is" -o bad.onnx
python3 - <<'P' # the same digits as a labelled set of plain numbers
import struct
pixels, labels = open("more/test-images.idx3-ubyte", "rb").read()[16:], open("more/test-labels.idx1-ubyte", "rb").read()[8:]
def put(name, kind, shape, data):
    head = ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (kind, shape)).ljust(117) + "\n"
    open(name, "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data)
put("tx.npy", "<f4", "(%d, 1, 28, 28)" % len(labels), struct.pack("<%df" % len(pixels), *((p / 255 - 0.17) / 0.31 for p in pixels)))
put("ty.npy", "<i8", "(%d,)" % len(labels), struct.pack("<%dq" % len(labels), *labels))
P
expect 0 top-1 pare-eval taught.onnx --data npy:tx.npy,ty.npy --json v.json
holds "$(number v.json top1) > 0.7" # guessing gives 0.1

# --- each option changes the result ---------------------------------------------------------------------
declare -A seen
variant() { # OPTIONS...: another result than any before
  quietly pare-distill "${usual[@]}" -o v.onnx "$@"
  local found
  found=$(sha v.onnx)
  [ -z "${seen[$found]:-}" ] || fail "\"$*\" gives the same as \"${seen[$found]}\""
  seen[$found]="$* "
}
quietly pare-distill "${usual[@]}" -o base.onnx
quietly pare-distill "${usual[@]}" --temperature 4 --alpha 0.9 --method logits -o v.onnx
cmp base.onnx v.onnx || fail "the defaults give other bytes"
seen[$(sha base.onnx)]="the defaults"
for options in "--temperature 1" "--alpha 0.5" "--alpha 1" "--method decoupled" "--method decoupled --dkd-alpha 2" \
  "--method decoupled --dkd-beta 2" "--teacher-until 0.5" "--teacher-until 1" "--method decoupled --teacher-until 0.5" "--method decoupled --temperature 2" "--seed 1" "--augment noise=0.1" \
  "--optimizer adam" "--label-smoothing 0.1" "--ema 0.5" "--qat" "--augment mixup=0.3"; do
  # shellcheck disable=SC2086
  variant $options
done
# A teacher whose share is nothing is none.
quietly pare-distill "${usual[@]}" --alpha 0 -o v.onnx
quietly pare-train small.onnx --data "$train" --epochs 2 --batch 50 --threads 1 -q -o alone.onnx
cmp v.onnx alone.onnx || fail "--alpha 0 gives other bytes than pare-train"
quietly pare-distill "${usual[@]}" --alpha 0 --teacher-cache unused -o v.onnx
cmp v.onnx alone.onnx || fail "--alpha 0 with a cache gives other bytes than pare-train"
# The container computes what the model does that it was made from.
expect 0 ratio pare-emit digits_cnn.onnx -o teacher.pare
quietly pare-distill small.onnx --teacher teacher.pare --data "$train" --epochs 2 --batch 50 --threads 1 -q -o v.onnx
cmp base.onnx v.onnx || fail "the same teacher as a container gives other bytes"
expect 0 '"mean"' pare distill small.onnx --teacher digits_cnn.onnx --data "$train" --epochs 1 --batch 50 --threads 1 \
  --folds 2 --json -

# --- hints and attention: 14 x 14 on both sides, 16 channels (block2) and 8 (block1) against 32 ------------
cat > even.json <<'J'
{"family": "cnn", "input": [1, 28, 28], "classes": 10, "activation": "relu", "dropout": 0,
 "blocks": [{"type": "conv", "channels": 32, "stride": 2}, {"type": "conv", "channels": 16}],
 "preprocess": {"layout": "NCHW", "color": "gray", "scale": 0.00392156862745098, "mean": [0.17], "std": [0.31],
                "task": "classification"}}
J
expect 0 parameters pare-build even.json -o even.onnx
usual[0]=even.onnx
unset seen
declare -A seen
for options in "--alpha 0.9" "--hint block1.relu=block2.relu" "--hint block2.relu=block3.relu" "--hint block2.relu_out=block3.relu" \
  "--hint block2.relu=block3.relu --hint-weight 3" "--hint block1.relu=block2.relu --hint block2.relu=block3.relu" \
  "--attention block2.relu=block3.relu" "--attention block2.relu=block3.relu --attention-weight 10" \
  "--hint block1.relu=block2.relu --teacher-until 0.5" \
  "--hint block1.relu=block2.relu --attention block2.relu=block3.relu"; do
  [ "$options" = "--hint block2.relu_out=block3.relu" ] || {
    # shellcheck disable=SC2086
    variant $options
    continue
  }
  cp v.onnx named.onnx
  # shellcheck disable=SC2086
  quietly pare-distill "${usual[@]}" $options -o v.onnx # a value by its own name, not its node's
  cmp named.onnx v.onnx || fail "a hint by the value's name gives other bytes than by its node's"
done
# A projection's weights are none of the network's: half of those are zeros.
quietly pare-distill "${usual[@]}" --hint block2.relu=block3.relu --sparsity 0.5 -o v.onnx --json sparse.json
quietly pare-prune v.onnx -q --sparsity 0.4 -o w.onnx --json zeros.json
holds "abs($(number zeros.json zeros_before) - 0.5 * $(number zeros.json weights)) < 1"
holds "abs($(number sparse.json sparsity) - 0.5) < 1e-3"
# Where the channels differ a projection is learned beside the network, and left out of it.
expect 0 parameters pare-distill "${usual[@]::${#usual[@]}-1}" --hint block2.relu=block3.relu -o v.onnx --json hinted.json
quietly pare-distill "${usual[@]}" --hint block1.relu=block2.relu -o w.onnx --json even.json
holds "$(number hinted.json parameters) == $(number even.json parameters) + 16 * 32"
cmp <(weights v.onnx | cut -d ' ' -f 1) <(weights even.onnx | cut -d ' ' -f 1) || fail "a projection is in the output"
[ "$(stat -c %s v.onnx)" = "$(stat -c %s even.onnx)" ] || fail "a projection is in the output"
usual[0]=small.onnx

# --- the cache of the teacher's answers ----------------------------------------------------------------------
quietly pare-distill "${usual[@]}" --teacher-cache answers -o v.onnx
cached=$(sha v.onnx)
before=$(stat -c '%i %Y' answers)
quietly pare-distill "${usual[@]}" --teacher-cache answers -o v.onnx
[ "$(sha v.onnx)" = "$cached" ] || fail "a cache that is used gives other bytes"
[ "$(stat -c '%i %Y' answers)" = "$before" ] || fail "a cache that fits is written again"
# It is read, not just left alone: the logits of another teacher in it change the result.
python3 - <<'P'
import struct, zlib
data = open("answers", "rb").read()
body = data[24:][::-1]
body = b"".join(struct.pack("<f", i % 10) for i in range(len(body) // 4))
open("forged", "wb").write(data[:12] + struct.pack("<I", zlib.crc32(body)) + data[16:24] + body)
P
quietly pare-distill "${usual[@]}" --teacher-cache forged -o v.onnx
[ "$(sha v.onnx)" != "$cached" ] || fail "the cache is not used"
# Another teacher, other samples (as many of the same file), another preprocessing: computed anew.
expect 0 parameters pare-train digits_cnn.onnx --data "$train" --max-steps 3 --batch 50 --threads 1 -o learned.onnx
for change in "--teacher learned.onnx" "--data $train#0:100" "--data $train#100:200" "--limit 100 --shuffle-seed 1"; do
  options=" ${usual[*]} "
  case $change in
    --teacher*) options=${options/ --teacher digits_cnn.onnx / $change } ;;
    --data*) options=${options/ --data $train / $change } ;;
    *) options="$options $change" ;;
  esac
  # shellcheck disable=SC2086
  quietly pare-distill $options --teacher-cache other --allow-empty-classes -o v.onnx
  cp v.onnx own.onnx
  cp answers stale
  # shellcheck disable=SC2086
  quietly pare-distill $options --teacher-cache stale --allow-empty-classes -o v.onnx
  cmp own.onnx v.onnx || fail "$change: the cache of another run is used"
  cmp other stale || fail "$change: the cache of another run stays"
done
for share in 0.2 0.999; do
  python3 -c "import sys; d = open('answers', 'rb').read(); open('cut', 'wb').write(d[:int($share * len(d))])"
  expect 3 "cut: expected 2000 whole floats, found a damaged file: remove it" \
    pare-distill "${usual[@]}" --teacher-cache cut -o bad.onnx
done
python3 -c "d = bytearray(open('answers', 'rb').read()); d[1000] ^= 1; open('flipped', 'wb').write(d)"
expect 3 "flipped: expected 2000 whole floats, found a damaged file" pare-distill "${usual[@]}" --teacher-cache flipped -o bad.onnx
cp small.json some.json
expect 3 "some.json: expected a cache of a teacher's outputs" pare-distill "${usual[@]}" --teacher-cache some.json -o bad.onnx
cmp some.json small.json || fail "a file that is no cache is written over"
expect 4 "cannot open the folder" pare-distill "${usual[@]}" --teacher-cache nowhere/answers -o bad.onnx
expect 2 "is the input" pare-distill "${usual[@]}" --teacher-cache digits_cnn.onnx -o bad.onnx
for words in flip mixup=0.2 noise=0.1; do
  expect 2 "keeps one answer a sample" pare-distill "${usual[@]}" --teacher-cache answers --augment $words -o bad.onnx
done
expect 2 "not the values that hints need" \
  pare-distill "${usual[@]}" --teacher-cache answers --hint block1.relu=block2.relu -o bad.onnx

# --- it can be interrupted ----------------------------------------------------------------------------------------
quietly pare-distill "${usual[@]}" --checkpoint run.ckpt -o v.onnx
cmp base.onnx v.onnx || fail "a checkpoint changes the result"
expect 2 "1 difference: options.temperature: saved 4, this run has 2" \
  pare-distill "${usual[@]}" --temperature 2 --resume run.ckpt -o bad.onnx
expect 2 "teacher: saved " pare-distill "${usual[@]/digits_cnn.onnx/learned.onnx}" --resume run.ckpt -o bad.onnx
expect 2 "teacher: saved " pare-train small.onnx --data "$train" --epochs 2 --batch 50 --threads 1 --resume run.ckpt -o bad.onnx

row 89 # teachers and their options
distill() { # STATUS TEXT OPTIONS...
  expect "$1" "$2" pare-distill "${usual[@]}" -o bad.onnx "${@:3}"
}
expect 2 "option --teacher MODEL is needed" pare-distill small.onnx --data "$train" -o bad.onnx
with() { # TEACHER STATUS TEXT
  expect "$2" "$3" pare-distill "${usual[@]/digits_cnn.onnx/"$1"}" -o bad.onnx
}
with missing.onnx 4 "missing.onnx: cannot open"
with small.json 3 "small.json: "
with digits 3 "digits"
sed 's/"classes": 10/"classes": 7/' small.json > seven.json
expect 0 parameters pare-build seven.json -o seven.onnx
with seven.onnx 2 "expected a teacher with the student's 10 classes"
grep -q "found 7" err.txt || fail "$(cat err.txt)"
sed 's/28, 28/14, 14/' small.json > half.json
expect 0 parameters pare-build half.json -o half.onnx
with half.onnx 2 "expected a teacher of one input like the student's, found 50x1x14x14"
sed 's/0.17/0.2/' small.json > darker.json
expect 0 parameters pare-build darker.json -o darker.onnx
with darker.onnx 2 'found another "mean" in its preprocessing'
for number in 0 -0 0.0 0e5; do
  distill 2 "expected a temperature above 0, found" --temperature $number
done
for number in "" nan inf -1 1e7 0x1; do
  distill 2 "option --temperature: expected a number from 0 to 1000000" --temperature "$number"
done
for number in "" nan inf -0.1 1.1 2 1,0; do
  distill 2 "option --alpha: expected a number from 0 to 1, found" --alpha "$number"
done
for option in dkd-alpha dkd-beta hint-weight attention-weight; do
  distill 2 "option --$option: expected a number from 0" --$option -1
done
distill 2 "one of logits, decoupled" --method softmax
distill 2 "option --teacher-until: expected a number from 0.001 to 1" --teacher-until 1.5
distill 2 "a teacher that fades leaves the labels' loss" --teacher-until 0.5 --alpha 1
for hint in x =x x= ""; do
  distill 2 "option --hint: expected S_NODE=T_NODE" --hint "$hint"
done
distill 2 'in the student, found "nobody"' --hint nobody=block2.relu
distill 2 'in the teacher, found "nobody"' --hint block1.relu=nobody
distill 2 'in the teacher, found "image"' --attention block1.relu=image
distill 2 "expected values of one extent but for the channels, found 50x16x7x7 and 50x32x14x14" --hint block2.relu=block2.relu
expect 2 "found a .pare file: it keeps no inner values" pare-distill "${usual[@]/digits_cnn.onnx/teacher.pare}" --hint block1.relu=block2.relu -o bad.onnx
distill 2 "decoupled distillation needs the class of each sample" --method decoupled --augment mixup=0.2
expect 2 "decoupled distillation needs class labels" pare-distill pupil.onnx --teacher digits_cnn.onnx --data npy:x.npy \
  --preprocess "$as_is" --method decoupled -o bad.onnx
expect 2 "is the input" pare-distill "${usual[@]}" -o digits_cnn.onnx
[ ! -e bad.onnx ] || fail "a refused run left an output"
exit $failed
