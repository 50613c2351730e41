#!/bin/bash
# pare-student: what it prints and writes, that others read it, and what it refuses.
. "$PARE_TESTS/tools/sample.sh"

number() { # FILE KEY PART: a whole number of the part (teacher, student) of a result
  grep -A 4 "\"$3\": {" "$1" | grep -oE "\"$2\": [0-9]+" | grep -oE '[0-9]+$'
}

expect 0 "the teacher's most important channels" pare-student digits_cnn.onnx --width 0.5 -o half.onnx --json half.json
expect 0 "parameters" pare student digits_cnn.onnx --width 0.5 -o again.onnx
cmp half.onnx again.onnx || fail "two runs differ"
[ "$(number half.json bytes student)" = "$(stat -c %s half.onnx)" ] || fail "bytes of the student"
[ "$(number half.json bytes teacher)" = "$(stat -c %s digits_cnn.onnx)" ] || fail "bytes of the teacher"
expect 0 MACs pare-inspect half.onnx --json inspect.json
[ "$(grep -oE '^ "macs": [0-9]+' inspect.json | grep -oE '[0-9]+')" = "$(number half.json macs student)" ] ||
  fail "MACs differ from those of pare-inspect"
# The record of the preprocessing travels along.
expect 0 top pare-eval half.onnx --data "$test_set" --limit 20
expect 0 "fresh weights" pare-student digits_cnn.onnx --width 0.5 --fresh --seed 3 -o fresh.onnx
expect 0 "fresh weights" pare-student digits_cnn.onnx --width 0.5 --fresh --seed 4 -o other.onnx
cmp -s fresh.onnx other.onnx && fail "seeds make no difference"
expect 0 ratio pare-student digits_cnn.onnx --macs 0.33 -o third.onnx --json third.json
[ "$((100 * $(number third.json macs student)))" -le "$((33 * $(number third.json macs teacher)))" ] || fail "--macs"
[ "$((100 * $(number third.json macs student)))" -gt "$((20 * $(number third.json macs teacher)))" ] || fail "--macs"
expect 0 '"blocks_kept": 0' pare-student digits_cnn.onnx -o same.onnx --json -

for option in width depth macs; do
  for value in 0 -1 1.5 nan inf 1e9 "" 0.5x; do
    expect 2 "--$option" pare-student digits_cnn.onnx "--$option=$value" -o bad.onnx
  done
done
expect 2 "--round" pare-student digits_cnn.onnx --round 0 -o bad.onnx
expect 2 "exclude each other" pare-student digits_cnn.onnx --width 0.5 --macs 0.5 -o bad.onnx
expect 2 "is the input" pare-student digits_cnn.onnx --width 0.5 -o digits_cnn.onnx
expect 5 "blocks of equal structure" pare-student digits_cnn.onnx --depth 0.5 -o bad.onnx
expect 5 "narrowest" pare-student digits_cnn.onnx --macs 0.00001 -o bad.onnx
expect 0 ratio pare-emit digits_cnn.onnx -o net.pare
expect 5 "final" pare-student net.pare --width 0.5 -o bad.onnx
expect 0 quantized pare-quantize digits_cnn.onnx --calib "$train" --limit 8 -o int8.onnx
expect 5 "quantization" pare-student int8.onnx --width 0.5 -o bad.onnx
[ ! -e bad.onnx ] || fail "a refused run left an output"
exit $failed
