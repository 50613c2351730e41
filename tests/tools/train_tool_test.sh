#!/bin/bash
# pare-train: that every option does what it says, what is written and printed, and what is refused.
. "$PARE_TESTS/tools/sample.sh"
. "$PARE_TESTS/tools/training.sh"

# --- it learns -----------------------------------------------------------------------------
# Guessing gives 10 %, and so does the untrained network.
cp "$PARE_TESTS/../models/recipes/lenet_300_100.json" .
expect 0 parameters pare-build lenet_300_100.json -o lenet.onnx
expect 0 "best epoch" pare train lenet.onnx --data "$many" --val "$fresh" --epochs 8 --batch 50 --optimizer adam \
  --lr 0.003 --threads 1 -o learned.onnx --json learned.json --log log.csv --html page.html
expect 0 top-1 pare-eval lenet.onnx --data "$fresh" --json untrained.json
expect 0 top-1 pare-eval learned.onnx --data "$fresh" --json evaluated.json
holds "$(number untrained.json top1) < 0.2"
holds "$(number learned.json top1) > 0.7"
holds "$(number learned.json top1) == $(number evaluated.json top1)"
holds "$(number learned.json steps) == 240 and $(number learned.json epochs) == 8"
holds "$(number learned.json output_bytes) == $(stat -c %s learned.onnx)"
[ "$(wc -l < log.csv)" -eq 9 ] || fail "--log: expected a header and 8 rows, found $(cat log.csv)"
head -n 1 log.csv | grep -q "^epoch,step,learning_rate,training_loss,validation_loss,validation_top1" || fail "--log"
grep -q '<svg' page.html || fail "--html: no curves"
grep -qE 'src=|https?://[^w]' page.html && fail "--html: the page reaches out"
expect 0 '"top1": ' pare-train small.onnx --data "$train" --val "$test_set" --max-steps 2 --threads 1 -o v.onnx --json -
python3 -c 'import json; json.load(open("out.txt"))' || fail "--json -: something else is printed too"
quietly pare-train small.onnx --data "$train" --max-steps 2 --threads 1 -o v.onnx -q

# --- each option changes the result, and the same options give the same bytes ---------------------
declare -A seen
tiny="--data $train --epochs 2 --batch 50 --threads 1 -q"
variant() { # OPTIONS...: another result than any before
  # shellcheck disable=SC2086
  quietly pare-train small.onnx $tiny -o v.onnx "$@"
  local found
  found=$(sha v.onnx)
  [ -z "${seen[$found]:-}" ] || fail "\"$*\" gives the same as \"${seen[$found]}\""
  seen[$found]="$* "
}
# shellcheck disable=SC2086
quietly pare-train small.onnx $tiny -o base.onnx
for again in "" "--schedule cosine" "--optimizer sgd --momentum 0.9 --lr 0.01" "--loss cross-entropy" "--seed 0"; do
  # shellcheck disable=SC2086
  quietly pare-train small.onnx $tiny $again -o v.onnx
  cmp base.onnx v.onnx || fail "\"$again\" (the default) gives other bytes"
done
seen[$(sha base.onnx)]="the defaults"
for options in "--seed 1" "--optimizer adam" "--optimizer adamw --weight-decay 0.5" \
  "--momentum 0.5" "--nesterov" "--weight-decay 0.1" "--l1 0.01" "--clip-norm 0.05" "--lr 0.02" \
  "--schedule constant" "--schedule step" "--schedule step --milestones 0.25" "--schedule step --gamma 0.5" \
  "--schedule one-cycle" "--warmup 1" "--final-lr 0.5" "--loss bce" "--label-smoothing 0.2" \
  "--class-weights 1,2,3,4,5,6,7,8,9,10" "--class-weights balanced" "--ema 0.5" "--freeze-batchnorm" \
  "--augment flip" "--augment flip-vertical" "--augment crop=2" "--augment shift=2" "--augment rotate=10" \
  "--augment brightness=0.2" "--augment contrast=0.2" "--augment cutout=6" "--augment noise=0.1" \
  "--augment mixup=0.3" "--augment mixup=0.3 --loss bce" "--augment flip,crop=2,noise=0.1" \
  "--max-steps 3" "--limit 150" "--limit 150 --shuffle-seed 3" "--val-fraction 0.2" \
  "--freeze classifier" "--qat" "--qat --weight-bits 4" "--qat --activation-bits 4" "--qat --first-last-bits 4" \
  "--qat --qat-exclude block2.conv" "--qat --calib $many" "--qat --weight-bits 8 --pairs 7bit"; do
  # shellcheck disable=SC2086
  variant $options
done
# shellcheck disable=SC2086
quietly pare-train small.onnx ${tiny/--batch 50/--batch 40} -o v.onnx
cmp -s base.onnx v.onnx && fail "--batch makes no difference"

# --- layers that stay --------------------------------------------------------------------------
# shellcheck disable=SC2086
quietly pare-train small.onnx $tiny --weight-decay 0.1 --freeze 'block1.*' --freeze classifier -o frozen.onnx
weights small.onnx | grep -v dropout.ratio | sort > before.txt
weights frozen.onnx | sort > after.txt
grep -E '^(block1|classifier)\.' before.txt > kept.txt
[ "$(wc -l < kept.txt)" -ge 7 ] || fail "expected the weights of block1 and the classifier, found $(cat before.txt)"
while read -r line; do
  grep -qF "$line" after.txt || fail "--freeze: $line changed"
done < kept.txt
comm -12 before.txt after.txt | cmp -s - kept.txt || fail "--freeze: other weights than the frozen ones stayed"
# shellcheck disable=SC2086
quietly pare-train small.onnx $tiny --freeze-batchnorm -o frozen.onnx
weights frozen.onnx | sort | comm -12 before.txt - | cut -d ' ' -f 1 > stayed.txt
grep -c running stayed.txt | grep -qx 4 || fail "--freeze-batchnorm: expected 4 running statistics, found $(cat stayed.txt)"
grep -qv running stayed.txt && fail "--freeze-batchnorm: $(cat stayed.txt) stayed"

# --- normalization behind convolutions that lost theirs ----------------------------------------------
expect 0 quantized pare-quantize learned.onnx --calib "$train" --limit 50 -o folded_q.onnx
cat > plain.json <<'J'
{"family": "lenet-5", "input": [1, 28, 28], "classes": 10, "activation": "relu", "dropout": 0,
 "preprocess": {"layout": "NCHW", "color": "gray", "scale": 0.00392156862745098, "mean": [0.17], "std": [0.31],
                "task": "classification"}}
J
expect 0 parameters pare-build plain.json -o plain.onnx
expect 0 "batch normalization behind 2 convolutions" pare-train plain.onnx --data "$train" --epochs 1 --batch 50 \
  --threads 1 --rebuild-batchnorm -o rebuilt.onnx
expect 0 block1.conv_bn pare-inspect rebuilt.onnx
expect 5 "quantized: train the network that it was made from" pare-train folded_q.onnx --data "$train" -o bad.onnx

# --- validation ---------------------------------------------------------------------------------------
# shellcheck disable=SC2086
quietly pare-train small.onnx $tiny --val-fraction 0.2 -o v.onnx --json v.json
holds "$(number v.json samples) == 40"
expect 0 "±" pare-train small.onnx --data "$train" --epochs 1 --batch 50 --threads 1 --folds 3 --json folds.json
holds "len($(number folds.json top1.folds)) == 3 and $(number folds.json folds) == 3"
holds "abs($(number folds.json top1.mean) - sum($(number folds.json top1.folds)) / 3) < 1e-9"
holds "abs($(number folds.json top1.deviation) - __import__('statistics').stdev($(number folds.json top1.folds))) < 1e-9"
expect 0 "stopped early" pare-train small.onnx --data "$train" --val "$test_set" --epochs 20 --batch 50 --threads 1 \
  --lr 1e-12 --patience 2 --freeze-batchnorm -o v.onnx --json v.json
holds "$(number v.json epochs) == 3 and $(number v.json best_epoch) == 1 and $(number v.json stopped_early)"

# --- quantization-aware ------------------------------------------------------------------------------------
# What training measured is what the integers that it wrote compute.
expect 0 "best epoch" pare-train learned.onnx --data "$many" --val "$fresh" --epochs 2 --batch 50 --threads 1 --lr 0.001 \
  --qat --weight-bits 4 -o qat.onnx --json qat.json
expect 0 top-1 pare-eval qat.onnx --data "$fresh" --json evaluated.json
holds "$(number qat.json top1) == $(number evaluated.json top1) and $(number qat.json top1) > 0.6"
expect 0 ratio pare-emit qat.onnx -o qat.pare
expect 0 top-1 pare-eval qat.pare --data "$fresh" --json evaluated.json
holds "$(number qat.json top1) == $(number evaluated.json top1)"

# --- a table, and an autoencoder -------------------------------------------------------------------------------
python3 - <<'P'
import random
random.seed(5)
with open("table.csv", "w") as f:
    f.write("a,b,y,c\n")
    for _ in range(300):
        a, b, c = (random.uniform(-1, 1) for _ in range(3))
        f.write("%f,%f,%f,%f\n" % (a, b, 2 * a - b * b + 0.5 * c + random.gauss(0, 0.01), c))
with open("flags.csv", "w") as f:
    f.write("a,b,kind\n")
    for i in range(200):
        f.write("%f,%f,%d\n" % (i % 2 + random.gauss(0, 0.2), random.random(), i % 2))
P
cat > mlp.json <<'J'
{"family": "mlp", "inputs": 3, "hidden": [16, 16], "outputs": 1, "activation": "relu", "dropout": 0,
 "preprocess": {"layout": "flat", "scale": 1, "task": "regression"}}
J
expect 0 parameters pare-build mlp.json -o mlp.onnx
for loss in mse l1 huber "huber --huber-delta 0.1"; do
  # shellcheck disable=SC2086
  expect 0 "R2 " pare-train mlp.onnx --data 'csv:table.csv?target=y#0:240' --val 'csv:table.csv?target=y#240:300' \
    --epochs 60 --batch 20 --threads 1 --optimizer adam --lr 0.01 --loss $loss -o table.onnx --json table.json
  holds "$(number table.json r2) > 0.9 and $(number table.json rmse) < 0.3"
done
# No epoch is chosen by the fold that measures: the last one counts, however high the rate makes it.
expect 0 "mse " pare-train mlp.onnx --data 'csv:table.csv?target=y' --folds 2 --epochs 9 --batch 20 --lr 0.2 --threads 1 --json f.json
python3 - "$(awk '/^ *9 /{ printf "%s,", $4 }' out.txt)" <<'P' || fail "a fold's best epoch is reported: $(cat out.txt)"
import json, sys
last = [float(x) for x in sys.argv[1].split(",")[:2]]
found = json.load(open("f.json"))["mse"]["folds"]
assert len(found) == 2 and all(abs(a - b) <= 1e-4 * a for a, b in zip(last, found)), (last, found)
P
expect 0 "r2 " pare-train mlp.onnx --data 'csv:table.csv?target=y' --folds 2 --epochs 2 --batch 20 --threads 1 --json f.json
holds "set($(number f.json r2).keys()) == {'mean', 'deviation', 'folds'}"
sed 's/"inputs": 3/"inputs": 2/; s/regression/classification/' mlp.json > flag.json
expect 0 parameters pare-build flag.json -o flag.onnx
expect 0 top-1 pare-train flag.onnx --data 'csv:flags.csv?class=kind' --val-fraction 0.25 --epochs 15 --batch 10 \
  --threads 1 --lr 0.1 -o v.onnx --json v.json
holds "$(number v.json top1) > 0.9" # one output says yes or no
cat > auto.json <<'J'
{"family": "autoencoder", "inputs": 784, "hidden": [32], "code": 4, "activation": "relu", "batchnorm": true,
 "dropout": 0, "preprocess": {"layout": "flat", "color": "gray", "scale": 0.00392156862745098, "task": "autoencoder"}}
J
expect 0 parameters pare-build auto.json -o auto.onnx
expect 0 MSE pare-train auto.onnx --data "$train" --val "$test_set" --epochs 1 --batch 50 --threads 1 --optimizer adam \
  --lr 0.01 -o v.onnx --json one.json
expect 0 MSE pare-train auto.onnx --data "$train" --val "$test_set" --epochs 15 --batch 50 --threads 1 --optimizer adam \
  --lr 0.01 -o v.onnx --json v.json
holds "$(number v.json mse) < 0.8 * $(number one.json mse)"

[ ! -e bad.onnx ] || fail "a refused run left an output"
exit $failed
