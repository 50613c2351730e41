#!/bin/bash
# pare-build: what it writes and prints, that others read it, and what it refuses.
. "$PARE_TESTS/tools/sample.sh"
recipes=$PARE_TESTS/../models/recipes
cp "$recipes"/*.json .

number() { # FILE KEY
  grep -oE "^ \"$2\": [0-9]+" "$1" | grep -oE '[0-9]+$'
}

for recipe in "$recipes"/*.json; do
  name=$(basename "$recipe" .json)
  expect 0 parameters pare-build "$recipe" -o "$name.onnx" --json "$name.result"
  [ "$(number "$name.result" output_bytes)" = "$(stat -c %s "$name.onnx")" ] || fail "$name: bytes"
  expect 0 MACs pare-inspect "$name.onnx" --json inspect.json
  [ "$(number inspect.json macs)" = "$(number "$name.result" macs)" ] || fail "$name: MACs differ from pare-inspect's"
  expect 0 ratio pare-emit "$name.onnx" -o "$name.pare"
done
# The same again, by the other name, and other seeds.
expect 0 "seed 0" pare build resnet20.json -o again.onnx
cmp resnet20.onnx again.onnx || fail "two runs differ"
expect 0 "seed 7" pare-build resnet20.json -o seventh.onnx --seed 7
cmp -s resnet20.onnx seventh.onnx && fail "seeds make no difference"
# Settings, and the size that the literature gives for them.
expect 0 "464,154" pare-build resnet20.json --set depth=32 --set dropout=0.1 -o resnet32.onnx
expect 0 "272,474" pare-build resnet20.json --set shortcut=projection -o projection.onnx
expect 0 '"macs": 2950' pare-build mlp_regression.json --set 'hidden=[50,50]' -o mlp.onnx --json -
expect 2 'unknown field "depth": expected one of input, blocks' pare-build resnet20.json --set family=cnn -o bad.onnx
# The record of the preprocessing is in the model: a fresh network guesses.
expect 0 top pare-eval digits_cnn.onnx --data "$test_set" --limit 20
# Help comes from the tables that read the fields.
expect 0 "a whole number from 8 to 1202" pare-build --fields resnet
expect 0 "transformer: " pare-build --fields all
expect 0 "ds-cnn " pare-build --help
expect 2 "found \"vgg\"" pare-build --fields vgg
expect 2 "builds nothing" pare-build --fields resnet resnet20.json

for number in nan NaN Infinity -inf 1e999 0x1 "" 1,5 2 -0.1; do
  expect 2 '"dropout": expected a number from 0 to 0.95' pare-build resnet20.json --set "dropout=$number" -o bad.onnx
done
expect 2 "resnet20.json with --set: unknown field \"dept\": expected one of depth" \
  pare-build resnet20.json --set dept=20 -o bad.onnx
expect 2 '"depth": expected 6n + 2' pare-build resnet20.json --set depth=21 -o bad.onnx
expect 2 "NAME=VALUE" pare-build resnet20.json --set depth -o bad.onnx
expect 2 "set once" pare-build resnet20.json --set depth=20 --set depth=32 -o bad.onnx
expect 2 "--seed" pare-build resnet20.json --seed -1 -o bad.onnx
expect 2 "" pare-build resnet20.json
expect 2 "is the input" pare-build resnet20.json -o resnet20.json
expect 2 "is the input" pare-build resnet20.json -o bad.onnx --json resnet20.json
expect 6 "268435456 weights" pare-build mlp_regression.json --set inputs=65536 --set hidden=65536 -o bad.onnx
expect 4 "missing.json" pare-build missing.json -o bad.onnx

row 84 # recipe files
echo '{"family": "mlp", "inputs": 8, "inputs": 8, "outputs": 1}' > twice.json
expect 3 "twice.json: expected a recipe in JSON: line 1" pare-build twice.json -o bad.onnx
printf '{"family": "mlp", "inputs": 8, "outputs": 1}\0' > nul.json
expect 3 nul.json pare-build nul.json -o bad.onnx
printf '[%.0s' $(seq 100000) > deep.json
expect 3 deep.json pare-build deep.json -o bad.onnx
head -c 2000000 /dev/zero | tr '\0' ' ' > huge.json
expect 6 1048576 pare-build huge.json -o bad.onnx
: > empty.json
expect 3 empty.json pare-build empty.json -o bad.onnx
mkdir folder && expect 3 folder pare-build folder -o bad.onnx
mkfifo fifo && expect 3 fifo pare-build fifo -o bad.onnx
[ ! -e bad.onnx ] || fail "a refused run left an output"
exit $failed
