#!/bin/bash
# A run that is interrupted, killed or out of disk goes on as if nothing had happened; rows 80 and 91 of the bad inputs.
. "$PARE_TESTS/tools/sample.sh"
. "$PARE_TESTS/tools/training.sh"
bin=$PARE_BIN
usual=(small.onnx --data "$many" --val "$test_set" --epochs 6 --batch 50 --threads 1 --optimizer adam --lr 0.01
  --ema 0.9 --augment shift=2,noise=0.05 -q)
saving=(--checkpoint run.ckpt --checkpoint-steps 7)

# The loss column of a log, and the others that do not depend on the clock.
losses() {
  cut -d , -f 1-7 "$1"
}

start() { # OPTIONS...: $process in the background, until it has saved a checkpoint
  local before
  before=$(stat -c %i run.ckpt 2> /dev/null)
  "$bin/pare-train" "${usual[@]}" "${saving[@]}" -o resumed.onnx "$@" > out.txt 2> err.txt &
  process=$!
  while kill -0 $process 2> /dev/null && [ "$(stat -c %i run.ckpt 2> /dev/null)" = "$before" ]; do
    sleep 0.002
  done
}

quietly pare-train "${usual[@]}" --log whole.csv --step-log whole-steps.csv -o whole.onnx
whole=$(sha whole.onnx)
quietly pare-train "${usual[@]}" "${saving[@]}" -o v.onnx
[ "$(sha v.onnx)" = "$whole" ] || fail "checkpoints change the result"
[ -s run.ckpt ] && [ -s run.ckpt.previous ] || fail "expected the last two checkpoints"
# A finished run has nothing left to do, and the same result.
cp whole.csv finished.csv
quietly pare-train "${usual[@]}" --resume run.ckpt --log finished.csv --html page.html -o v.onnx --json v.json
[ "$(sha v.onnx)" = "$whole" ] || fail "a finished run that is resumed gives another result"
holds "$(number v.json steps) == 180 and $(number v.json loss) is None"
grep -q '<svg' page.html || fail "a finished run has no curves"
cmp whole.csv finished.csv || fail "a finished run changes the log"
cp run.ckpt finished.ckpt
rm -f run.ckpt*

# --- SIGINT and SIGTERM: fault tests 13, 15 and 16 ------------------------------------------------
for signal in INT TERM HUP INT; do
  start --log resumed.csv --step-log resumed-steps.csv $([ -e run.ckpt ] && echo --resume run.ckpt)
  kill -$signal $process
  wait $process
  [ $? -eq 130 ] || fail "SIG$signal: expected exit 130, found another: $(cat err.txt)"
  grep -q "interrupted after step [0-9]* of 180; go on with --resume run.ckpt" err.txt || fail "SIG$signal: $(cat err.txt)"
  [ ! -e resumed.onnx ] || fail "SIG$signal: there is an output already"
done
quietly pare-train "${usual[@]}" --resume run.ckpt --log resumed.csv --step-log resumed-steps.csv -o resumed.onnx
cmp whole-steps.csv resumed-steps.csv || fail "an interrupted run has another log of its steps"
quietly pare-train "${usual[@]}" --resume run.ckpt --step-log resumed-steps.csv -o v.onnx
cmp whole-steps.csv resumed-steps.csv || fail "a finished run changes the log of its steps"
[ "$(sha resumed.onnx)" = "$whole" ] || fail "an interrupted run gives another result"
diff <(losses whole.csv) <(losses resumed.csv) || fail "an interrupted run has another log"
"$bin/pare-train" "${usual[@]}" -o v2.onnx > out.txt 2> err.txt &
process=$!
sleep 0.1
kill -INT $process
wait $process
[ $? -eq 130 ] && grep -q "nothing is kept without --checkpoint" err.txt || fail "SIGINT without a checkpoint: $(cat err.txt)"
[ ! -e v2.onnx ] || fail "SIGINT without a checkpoint: there is an output"

# Weights that become zeros on the way: where, is in the weights alone.
sparse=("${usual[@]}" --sparsity 0.7 --sparsity-until 0.8)
quietly pare-train "${sparse[@]}" -o sparse.onnx --json sparse.json
holds "abs($(number sparse.json sparsity) - 0.7) < 0.001"
rm -f run.ckpt*
for _ in 1 2 3; do
  "$bin/pare-train" "${sparse[@]}" "${saving[@]}" $([ -e run.ckpt ] && echo --resume run.ckpt) -o cut.onnx > out.txt 2> err.txt &
  process=$!
  sleep 0.15
  kill -INT $process
  wait $process
done
[ -e run.ckpt ] && quietly pare-train "${sparse[@]}" --resume run.ckpt -o cut.onnx
cmp sparse.onnx cut.onnx || fail "an interrupted run makes other zeros"
quietly pare-train sparse.onnx --data "$many" --epochs 1 --batch 50 --threads 1 -q --keep-zeros -o kept.onnx --json kept.json
holds "$(number kept.json sparsity) == $(number sparse.json sparsity)"
quietly pare-train sparse.onnx --data "$many" --epochs 1 --batch 50 --threads 1 -q --qat --keep-zeros -o kept.onnx --json kept.json
holds "$(number kept.json sparsity) == $(number sparse.json sparsity)"

# --- kill -9: fault test 10 -------------------------------------------------------------------------
rm -f run.ckpt* resumed.onnx
RANDOM=20
killed=0
for _ in 1 2 3 4 5 6 7 8; do
  start --log killed.csv --step-log killed-steps.csv $([ -e run.ckpt ] && echo --resume run.ckpt)
  sleep "0.0$((RANDOM % 50 + 10))"
  kill -9 $process 2> /dev/null && killed=$((killed + 1))
  wait $process 2> /dev/null
  [ ! -e resumed.onnx ] || break
done
[ $killed -ge 2 ] || fail "expected several kills before the run was done, found $killed"
if [ ! -e resumed.onnx ]; then
  quietly pare-train "${usual[@]}" "${saving[@]}" --resume run.ckpt --log killed.csv --step-log killed-steps.csv -o resumed.onnx
fi
diff <(losses whole.csv) <(losses killed.csv) || fail "a run that was killed has another log"
cmp whole-steps.csv killed-steps.csv || fail "a run that was killed has another log of its steps"
[ "$(sha resumed.onnx)" = "$whole" ] || fail "a run that was killed $killed times gives another result"
cmp run.ckpt finished.ckpt || fail "a run that was killed ends with another checkpoint"
[ -z "$(find . -name '*tmp*')" ] || fail "temporary files are left: $(find . -name '*tmp*')"

row 80 # a full disk when a checkpoint is due
rm -f run.ckpt*
start
kill -INT $process
wait $process
cp run.ckpt good.ckpt
(ulimit -f 8 && exec "$bin/pare-train" "${usual[@]}" "${saving[@]}" --resume run.ckpt -o v2.onnx) > out.txt 2> err.txt
[ $? -eq 4 ] || fail "a limit of file sizes: expected exit 4, found another: $(cat err.txt)"
grep -q "cannot save the checkpoint: run.ckpt: .*File too large" err.txt || fail "a limit of file sizes: $(cat err.txt)"
cmp run.ckpt good.ckpt || fail "a limit of file sizes: the last good checkpoint is gone"
[ -z "$(find . -name '*tmp*')" ] || fail "temporary files are left: $(find . -name '*tmp*')"
quietly pare-train "${usual[@]}" --resume run.ckpt -o resumed.onnx
[ "$(sha resumed.onnx)" = "$whole" ] || fail "a run that could not save gives another result"
if unshare -rm true 2> /dev/null; then
  # Room for two checkpoints (the last and the one before) and not for the third, while it is written.
  size=$(stat -c %s good.ckpt)
  mkdir disk
  unshare -rm bash -c "mount -t tmpfs -o size=$(((5 * size / 2 + 4095) / 4096 * 4))k none disk &&
    { '$bin/pare-train' ${usual[*]} --checkpoint disk/run.ckpt --checkpoint-steps 7 -o v2.onnx; echo \$? > status.txt; ls -A disk > left.txt
      cp disk/run.ckpt disk.ckpt; }" > out.txt 2> err.txt
  [ "$(cat status.txt)" = 4 ] || fail "a full disk: expected exit 4, found $(cat status.txt)"
  grep -q "cannot save the checkpoint: .*No space left" err.txt || fail "a full disk: $(cat err.txt)"
  printf 'run.ckpt\nrun.ckpt.previous\n' | cmp - left.txt || fail "a full disk: left are $(cat left.txt)"
  quietly pare-train "${usual[@]}" --resume disk.ckpt -o resumed.onnx
  [ "$(sha resumed.onnx)" = "$whole" ] || fail "the checkpoint before a full disk gives another result"
fi
[ ! -e v2.onnx ] || fail "a run that could not save has an output"

row 91 # checkpoints that are not of this run, or not whole
resumes() { # STATUS TEXT FILE OPTIONS...
  expect "$1" "$2" pare-train "${usual[@]}" -o bad.onnx --resume "$3" "${@:4}"
}
cat > damage.py <<'P'
import struct, sys, zlib
what, out = sys.argv[1:3]
data = bytearray(open("good.ckpt", "rb").read())
def seal(): # all checksums again
    for i in range(4):
        at = 32 + 24 * i
        offset, size = struct.unpack_from("<QQ", data, at + 8)
        struct.pack_into("<I", data, at + 4, zlib.crc32(data[offset:offset + size]))
    struct.pack_into("<I", data, 20, zlib.crc32(data[32:128]))
    struct.pack_into("<I", data, 28, zlib.crc32(data[:28]))
progress = struct.unpack_from("<Q", data, 32 + 24 + 8)[0]
if what == "version":
    struct.pack_into("<I", data, 4, int(sys.argv[3])); seal()
elif what == "step":
    struct.pack_into("<Q", data, progress, int(sys.argv[3])); seal()
elif what == "tool":
    at = data.index(b"0.1.0"); data[at:at + 5] = b"0.0.9"; seal()
elif what == "flip":
    data[int(float(sys.argv[3]) * (len(data) - 1))] ^= 16
elif what == "cut":
    del data[int(float(sys.argv[3]) * len(data)):]
open(out, "wb").write(data)
P
damaged() {
  python3 damage.py "$1" bad.ckpt "${@:2}"
}
for share in 0 0.001 0.01 0.3 0.999; do
  damaged cut $share
  resumes 3 "bad.ckpt: " bad.ckpt
done
for share in 0 0.0005 0.005 0.01 0.02 0.03 0.1 0.5 0.9 1; do
  damaged flip $share
  resumes 3 "bad.ckpt: " bad.ckpt
done
resumes 3 "there is no bad.ckpt.previous" bad.ckpt
cp good.ckpt bad.ckpt.previous
resumes 3 "bad.ckpt.previous is whole (step " bad.ckpt
quietly pare-train "${usual[@]}" --resume bad.ckpt.previous -o resumed.onnx
[ "$(sha resumed.onnx)" = "$whole" ] || fail "the checkpoint before the damaged one gives another result"
rm -f bad.ckpt*
damaged version 2
resumes 5 "expected version 1 to 1 of the checkpoint format, found 2" bad.ckpt
damaged version 0
resumes 3 "found 0" bad.ckpt
damaged tool
resumes 2 "1 difference: version of Pare: saved 0.0.9" bad.ckpt
damaged step 181
resumes 3 "expected a step within the run's 180" bad.ckpt
resumes 3 'expected a checkpoint of a training run ("PCKP"), found' first.onnx
resumes 4 "missing.ckpt: cannot open" missing.ckpt
cp good.ckpt kept.ckpt
resumes 2 "1 difference: seed: saved 0, this run has 1" good.ckpt --seed 1
# differs TEXT FROM TO: with one of the usual options changed
differs() {
  local options=" ${usual[*]} " text=$1
  [ "${options/" $2 "/" $3 "}" != "$options" ] || fail "no option $2"
  # shellcheck disable=SC2086
  expect 2 "expected a checkpoint of this run, found $text" pare-train ${options/" $2 "/" $3 "} -o bad.onnx --resume good.ckpt
}
differs "1 difference: threads: saved 1, this run has 2" "--threads 1" "--threads 2"
differs "1 difference: optimizer: saved 1, this run has 2" "--optimizer adam" "--optimizer adamw"
differs "1 difference: options.lr: saved 0.01, this run has 0.02" "--lr 0.01" "--lr 0.02"
differs "1 difference: options.epochs: saved 6, this run has 3" "--epochs 6" "--epochs 3"
differs "1 difference: options.batch: saved 50, this run has 49" "--batch 50" "--batch 49"
differs "1 difference: options.shift: saved 2, this run has 3" "shift=2,noise=0.05" "shift=3,noise=0.05"
differs "1 difference: validation set: saved" "--val $test_set" "--val $fresh"
differs "1 difference: validation set: saved" "--val $test_set" "--val $test_set#0:200"
differs "2 differences: data set: saved" "--data $many" "--data $many#0:1000"
differs "1 difference: model: saved" small.onnx first.onnx
# As many samples of the same file, but others.
differs "2 differences: data set: saved" "--data $many" "--data $many#100:1400"
half=("${usual[@]/"$many"/"$many"#0:700}")
quietly pare-train "${half[@]}" --checkpoint half.ckpt -o v.onnx
expect 2 "1 difference: data set: saved" pare-train "${half[@]/"#0:700"/"#700:1400"}" --resume half.ckpt -o bad.onnx
sed 's/"family": "cnn"/"family": "lenet-5"/; /blocks/d' small.json > plain.json
expect 0 parameters pare-build plain.json -o plain.onnx
plain=(plain.onnx --data "$train" --max-steps 1 --batch 50 --threads 1 -q)
quietly pare-train "${plain[@]}" --checkpoint plain.ckpt -o v.onnx
expect 2 'array 0: saved "parameters" of' pare-train "${plain[@]}" --rebuild-batchnorm --resume plain.ckpt -o bad.onnx
# Where the run was to choose its threads, their number counts.
quietly pare-train small.onnx --data "$train" --max-steps 1 --batch 50 -q --checkpoint chosen.ckpt -o v.onnx
expect 2 "1 difference: threads: saved" pare-train small.onnx --data "$train" --max-steps 1 --batch 50 --threads 63 \
  --resume chosen.ckpt -o bad.onnx
grep -q "threads: saved [1-9]" err.txt || fail "$(cat err.txt)"
cmp good.ckpt kept.ckpt || fail "a checkpoint that is refused changes"
# Zero points come from the calibration set and are in no array of the checkpoint.
rounded=(small.onnx --data "$train" --max-steps 2 --batch 50 --threads 1 -q --qat)
quietly pare-train "${rounded[@]}" --calib "$train#0:50" --checkpoint rounded.ckpt -o v.onnx
expect 2 "1 difference: options.calibration_crc" pare-train "${rounded[@]}" --calib "$train#50:100" --resume rounded.ckpt -o bad.onnx
# What a network sees of a sample is part of the run, whichever option says it.
sed '/preprocess/,$d' small.json | sed '$ s/,$/}/' > recipe.json
expect 0 parameters pare-build recipe.json -o bare.onnx
sed 's/.*"preprocess": //; s/}}$/}/' <(tr -d '\n' < small.json) > seen.json
bare=(bare.onnx --data "$train" --epochs 1 --batch 50 --threads 1 -q)
quietly pare-train "${bare[@]}" --preprocess seen.json --checkpoint bare.ckpt -o v.onnx
sed 's/0.17/0.18/' seen.json > other.json
expect 2 "1 difference: options.mean" pare-train "${bare[@]}" --preprocess other.json --resume bare.ckpt -o bad.onnx

# Files that a killed run left beside it.
rm -f run.ckpt*
cp good.ckpt run.ckpt
head -c 100 good.ckpt > .run.ckpt.99999-0.pare-tmp
head -c 100 good.ckpt > run.ckpt.tmp
head -c 100 good.ckpt > run.ckpt.new
quietly pare-train "${usual[@]}" --resume run.ckpt -o resumed.onnx
[ "$(sha resumed.onnx)" = "$whole" ] || fail "stale files change the result"
[ ! -e .run.ckpt.99999-0.pare-tmp ] || fail "the temporary file of a killed run stays"
[ -e run.ckpt.tmp ] && [ -e run.ckpt.new ] || fail "files of others are removed"
[ ! -e bad.onnx ] || fail "a refused run left an output"
exit $failed
