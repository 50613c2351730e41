#!/bin/bash
# Two processes that mpirun started train as one does, say what they disagree on,
# and stop and go on together.
. "$PARE_TESTS/tools/sample.sh"
cache=${PARE_BUILD:-.}/CMakeCache.txt

if grep -qE '^PARE_ONEDNN:[A-Z]*=(OFF|FALSE|0)$' "$cache"; then
  echo "skipped: nothing trains without oneDNN"
  exit 77
fi
# A build without MPI must not let each process train for itself.
if ! grep -qE '^PARE_MPI:[A-Z]*=(ON|TRUE|1)$' "$cache"; then
  OMPI_COMM_WORLD_SIZE=2 expect 5 "expected a build with MPI" pare-train digits_cnn.onnx --data "$train" -o t.onnx
  exit $failed
fi
if ! mpirun --version 2> /dev/null | grep -q "Open MPI"; then
  echo "skipped: needs Open MPI's mpirun (Debian: openmpi-bin)"
  exit 77
fi
if grep -qE '^PARE_SANITIZE:[A-Z]*=.*thread' "$cache"; then
  echo "skipped: MPI itself is not built for the thread sanitizer"
  exit 77
fi
# This machine alone: no network, no other shell; processes that wait make room.
export OMPI_MCA_plm=isolated OMPI_MCA_btl=self,vader OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_odls_base_sigkill_timeout=0  # after a rank that failed, the others go at once
export ASAN_OPTIONS=detect_leaks=0           # MPI's own
mpi="timeout 100 mpirun --allow-run-as-root --oversubscribe -np 2"

# on_two STATUS TEXT COMMAND...: like expect, in two processes
on_two() {
  local status=$1 text=$2 found
  shift 2
  $mpi "$@" > out.txt 2> err.txt
  found=$?
  [ "$found" -eq "$status" ] || fail "mpirun $* : expected exit $status, found $found: $(head -c 300 err.txt)"
  cat out.txt err.txt | grep -qF -- "$text" || fail "mpirun $* : expected \"$text\", found: $(cat out.txt err.txt | head -c 400)"
}

# What tells two runs apart: losses of all steps (the first five hardly), and the weights in the outputs.
cat > compare.py << 'P'
import csv, struct, sys
def losses(name):
    return [float(row["loss"]) for row in csv.DictReader(open(name + ".csv"))]
def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]; at += 1
        value |= (byte & 127) << shift; shift += 7
        if byte < 128:
            return value, at
def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 2:
            size, at = varint(data, at)
            yield key >> 3, data[at:at + size]; at += size
        elif key & 7 == 0:
            value, at = varint(data, at)
        else:
            at += 8 if key & 7 == 1 else 4
def weights(name):
    floats = []
    for number, graph in fields(open(name + ".onnx", "rb").read()):
        if number == 7:
            for kind, tensor in fields(graph):
                if kind == 5:
                    floats += [struct.unpack("<%df" % (len(raw) // 4), raw) for n, raw in fields(tensor) if n == 9 and len(raw) % 4 == 0]
    return [x for tensor in floats for x in tensor]
one, two, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
a, b, v, w = losses(one), losses(two), weights(one), weights(two)
assert len(a) == len(b) == steps and len(v) == len(w) > 1000, (len(a), len(b), len(v), len(w))
apart = [abs(x - y) / abs(x) for x, y in zip(a, b)]
assert max(apart[:5]) < 1e-5 and max(apart) < 1e-3, apart
largest, moved = max(map(abs, v)), max(abs(x - y) for x, y in zip(v, w))
assert moved < 1e-3 * largest, (moved, largest)
print("%s: losses of %d steps within %.1e, weights within %.1e of the largest" % (one, steps, max(apart), moved / largest))
P

recipes=$PARE_TESTS/../models/recipes
expect 0 "" pare-build "$recipes/digits_cnn.json" -o normalized.onnx
expect 0 "" pare-build "$recipes/lenet_300_100.json" --set dropout=0.2 -o plain.onnx
pare_train=$PARE_BIN/pare-train

# The same curve. Class weights give the ranks' parts unequal shares of the loss, mixup reaches over their border. A
# low rate: what rounding does to a network with Relu grows from step to step, on one rank too.
course="--batch 16 --epochs 10 --max-steps 50 --threads 1"
more="--class-weights 1,2,3,1,1,1,1,1,5,1 --augment shift=2,mixup=0.3,noise=0.1 --clip-norm 1 --ema 0.9"
for network in normalized plain; do
  options="--data $train $course --lr 0.0005"
  [ $network = normalized ] || options="--data $train $course --lr 0.002 $more"
  # shellcheck disable=SC2086
  expect 0 "parameters trained" pare-train $network.onnx $options -o "$network-1.onnx" --step-log "$network-1.csv"
  # shellcheck disable=SC2086
  on_two 0 "parameters trained" "$pare_train" $network.onnx $options -o "$network-2.onnx" --step-log "$network-2.csv"
  python3 compare.py "$network-1" "$network-2" 50 || fail "$network: two ranks train another network than one"
done
# Distillation that needs labels, where the ranks have unequally many.
python3 - << 'P'
import struct
labels = bytearray(open("digits/train-labels.idx1-ubyte", "rb").read()[8:])
head = ("{'descr': '<i8', 'fortran_order': False, 'shape': (%d,), }" % len(labels)).ljust(117) + "\n"
marked = [-1 if i % 3 == 0 else c for i, c in enumerate(labels)]
open("y.npy", "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack("<%dq" % len(marked), *marked))
pixels = open("digits/train-images.idx3-ubyte", "rb").read()[16:]
head = ("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 784), }" % len(labels)).ljust(117) + "\n"
open("x.npy", "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack("<%df" % len(pixels), *(p / 255 for p in pixels)))
P
flat='{"layout": "flat", "task": "classification"}'
expect 0 "" pare-build "$recipes/mlp_classification.json" --set inputs=784 --set outputs=10 -o pupil.onnx
expect 0 "" pare-build "$recipes/mlp_classification.json" --set inputs=784 --set outputs=10 --seed 9 -o tutor.onnx
partly="--teacher tutor.onnx --data npy:x.npy,y.npy --method decoupled $course --lr 0.002 --preprocess flat.json"
echo "$flat" > flat.json
# shellcheck disable=SC2086
expect 0 "parameters trained" pare-distill pupil.onnx $partly -o partly-1.onnx --step-log partly-1.csv
# shellcheck disable=SC2086
on_two 0 "parameters trained" "$PARE_BIN/pare-distill" pupil.onnx $partly -o partly-2.onnx --step-log partly-2.csv
python3 compare.py partly-1 partly-2 50 || fail "partly labelled: two ranks train another network than one"
# Ranks whose networks differ.
timeout 100 mpirun --allow-run-as-root --oversubscribe -np 1 "$pare_train" plain.onnx --data "$train" --batch 20 -o v.onnx : \
  -np 1 "$pare_train" normalized.onnx --data "$train" --batch 20 -o v.onnx > out.txt 2> err.txt
[ $? -eq 2 ] && grep -q "as on rank 0\|rank 1" err.txt || fail "other networks: $(head -c 300 err.txt)"
on_two 0 '"top1"' "$pare_train" plain.onnx --data "$train" --val "$test_set" --batch 20 --epochs 1 -o v.onnx --json -
[ "$(grep -c '"top1"' out.txt)" -eq 1 ] || fail "more than one rank reports"

# What the ranks must agree on. The wrapper gives rank 1 another word.
cat > differ.sh << 'P'
#!/bin/bash
[ "$OMPI_COMM_WORLD_RANK" = 0 ] && set -- "${@//ELSE/$SAME}" || set -- "${@//ELSE/$OTHER}"
exec "$@"
P
chmod +x differ.sh
cp -r digits others
printf '\x01' | dd of=others/train-images.idx3-ubyte bs=1 seek=5000 conv=notrunc 2> /dev/null
expect 0 "" pare-build "$recipes/lenet_300_100.json" --set dropout=0.2 --seed 1 -o 0.2.onnx
cp plain.onnx 0.1.onnx
run="$pare_train plain.onnx --data $train --batch 20 --epochs 1 -o d.onnx"
SAME=digits OTHER=others on_two 2 "rank 1 of 2: expected every rank to train the same model on the same data with the same options, found 1 difference: data set: rank 0 has" \
  ./differ.sh ${run//digits/ELSE}
[ "$(grep -c "^pare-train: " err.txt)" -eq 1 ] || fail "one message is wanted: $(cat err.txt)"
SAME=0.1 OTHER=0.2 on_two 2 "found 2 differences: model: rank 0 has" ./differ.sh ${run/plain/ELSE} --lr ELSE
grep -qF "options.lr: rank 0 has 0.1, this rank has 0.2" err.txt || fail "options: $(cat err.txt)"
SAME=plain OTHER=missing on_two 4 "rank 1 of 2: missing.onnx" ./differ.sh ${run//plain/ELSE}
SAME=$PWD OTHER=/nonexistent on_two 0 "" ./differ.sh ${run//d.onnx/ELSE\/d.onnx} # only rank 0 writes
SAME=/nonexistent OTHER=$PWD on_two 4 "rank 0 of 2: /nonexistent/d.onnx" ./differ.sh ${run//d.onnx/ELSE\/d.onnx}
on_two 2 "expected a batch that 2 ranks can share evenly, found 15" "$pare_train" plain.onnx --data "$train" --batch 15 -o d.onnx

# Interrupted, or with a rank killed: what was saved goes on to the same bytes.
long="$pare_train normalized.onnx --data $train --batch 20 --epochs 20 --lr 0.01 --threads 1 --checkpoint-steps 3"
on_two 0 "parameters trained" $long --checkpoint whole.ckpt -o whole.onnx
cat > note.sh << 'P'
#!/bin/bash
echo $$ > "rank$OMPI_COMM_WORLD_RANK.pid"
exec "$@"
P
chmod +x note.sh
# begin NAME COMMAND...: in the background, up to its first checkpoint
begin() {
  $mpi ./note.sh "${@:2}" --checkpoint "$1.ckpt" -o "$1.onnx" > out.txt 2> err.txt &
  started=$!
  for _ in $(seq 3000); do [ -e "$1.ckpt" ] && return; sleep 0.02; done
}
# ends STATUS NAME: how it ended, 0 for any failure
ends() {
  wait $started
  local found=$?
  [ $found -eq "$1" ] || { [ "$1" -eq 0 ] && [ $found -ne 0 ]; } || fail "$2: expected exit $1, found $found: $(cat err.txt)"
  [ ! -e "$2.onnx" ] || fail "$2: a run that ended early wrote its output"
}
begin term $long
kill -TERM "$(cat rank1.pid)" # one rank's interrupt stops all
ends 130 term
grep -q "^pare-train: interrupted after step .*; go on with --resume term.ckpt" err.txt || fail "term: $(cat err.txt)"
begin kill $long
kill -KILL "$(cat rank1.pid)"
ends 0 kill
for name in term kill; do
  on_two 0 "parameters trained" $long --resume $name.ckpt --checkpoint $name.ckpt -o $name.onnx
  cmp whole.onnx $name.onnx || fail "$name: a run that was resumed gives other bytes"
done
expect 2 "ranks: saved 2, this run has 1" pare-train ${long#* } --resume term.ckpt --checkpoint term.ckpt -o one.onnx

# mpirun answers SIGINT with SIGTERM, and SIGKILL after so many seconds (1 where nothing is said).
export OMPI_MCA_odls_base_sigkill_timeout=5
begin int ${long/--epochs 20/--epochs 100000}
kill -INT "$(pgrep -P $started mpirun)"
ends 0 int
grep -q "^pare-train: interrupted after step" err.txt || fail "int: $(cat err.txt)"
exit $failed
