#!/bin/bash
# pare-prune: what it prints and writes, that others read it, that training gives back what it cost, what it refuses.
. "$PARE_TESTS/tools/sample.sh"

number() { # FILE KEY.KEY...
  python3 -c "import json,sys; v=json.load(open(sys.argv[1]))
for k in sys.argv[2].split('.'): v=v[k]
print(v)" "$1" "$2"
}
holds() { # EXPRESSION of Python
  python3 -c "import sys; sys.exit(0 if ($1) else 1)" || fail "$1"
}

expect 0 "channels made first by" pare-prune digits_cnn.onnx --macs 0.5 -o half.onnx --json half.json
expect 0 ".pare bytes" pare prune digits_cnn.onnx --bytes 20KiB -o small.onnx --json small.json
expect 0 "latency" pare-prune digits_cnn.onnx --latency-ms 1000 -o v.onnx
expect 0 "MACs" pare-prune digits_cnn.onnx --macs 0.5 -o again.onnx
cmp half.onnx again.onnx || fail "the same options give other bytes"
[ "$(number half.json after.onnx_bytes)" = "$(stat -c %s half.onnx)" ] || fail "bytes of the result"
holds "$(number half.json after.macs) <= 0.5 * $(number half.json before.macs) <= 1.3 * $(number half.json after.macs)"
expect 0 MACs pare-inspect half.onnx --json inspect.json
[ "$(number inspect.json macs)" = "$(number half.json after.macs)" ] || fail "MACs of the result"
expect 0 ratio pare-emit small.onnx -o small.pare
[ "$(stat -c %s small.pare)" = "$(number small.json after.bytes)" ] || fail "bytes of the .pare: $(stat -c %s small.pare)"
holds "$(stat -c %s small.pare) <= 20480"
expect 0 top-1 pare-eval half.onnx --data "$test_set"
# Each option changes what goes.
for options in "--importance l2" "--importance batchnorm" "--importance median" "--importance activation --calib $test_set#0:50" \
  "--local" "--lamp" "--max-ratio 0.35" "--round 8"; do
  # shellcheck disable=SC2086
  expect 0 MACs pare-prune digits_cnn.onnx --macs 0.5 $options -o v.onnx
  cmp -s half.onnx v.onnx && fail "$options changes nothing"
done
if ! grep -qE '^PARE_ONEDNN:[A-Z]*=(OFF|FALSE|0)$' "${PARE_BUILD:-.}/CMakeCache.txt"; then
  expect 0 top-1 pare-eval digits_cnn.onnx --data "$test_set" --json whole.json
  expect 0 parameters pare-distill half.onnx --teacher digits_cnn.onnx --data "$train" --epochs 12 --batch 20 --lr 0.02 \
    --threads 1 -o tuned.onnx
  expect 0 top-1 pare-eval tuned.onnx --data "$test_set" --json tuned.json
  holds "$(number tuned.json top1) > $(number whole.json top1) - 0.03"
fi

# Weights: zeros that training keeps, and a smaller file.
expect 0 "are" pare-prune digits_cnn.onnx --sparsity 0.8 -o sparse.onnx --json sparse.json
holds "abs($(number sparse.json zeros_after) - 0.8 * $(number sparse.json weights)) <= 0.5"
expect 0 ratio pare-emit sparse.onnx -o sparse.pare
[ "$(stat -c %s sparse.pare)" = "$(number sparse.json bytes_after)" ] || fail "bytes of the sparse .pare"
holds "$(number sparse.json bytes_after) < 0.5 * $(number sparse.json bytes_before)"
for options in "--sparsity 0.8 --scope global" "--sparsity 0.8 --scope layer" "--pattern 1:4" "--pattern 2:4"; do
  # shellcheck disable=SC2086
  expect 0 "bytes" pare-prune digits_cnn.onnx $options -o v.onnx
  cmp -s sparse.onnx v.onnx && fail "$options changes nothing"
done

row 87
for pattern in 4:4 0:4 5:4 2 2:4:1 a:b -1:4 2:; do
  expect 2 "option --pattern: expected N:M" pare-prune digits_cnn.onnx --pattern $pattern -o bad.onnx
done
expect 2 "one target is needed" pare-prune digits_cnn.onnx --pattern 2:4 --sparsity 0.5 -o bad.onnx
expect 2 "one target is needed" pare-prune digits_cnn.onnx --macs 0.5 --sparsity 0.5 -o bad.onnx
expect 2 "--scope belongs to --sparsity" pare-prune digits_cnn.onnx --pattern 2:4 --scope layer -o bad.onnx
for option in macs parameters channels; do
  for share in 0 1 1.5 -1 nan x; do
    expect 2 "option --$option: expected a number from 1e-06 to 0.999999" pare-prune digits_cnn.onnx --$option $share -o bad.onnx
  done
done
for size in 0 -1 x 1TiB 96Ki 1e3 "" 99999999999999999999999; do
  expect 2 "--bytes" pare-prune digits_cnn.onnx --bytes "$size" -o bad.onnx
done
expect 2 "one target is needed" pare-prune digits_cnn.onnx -o bad.onnx
expect 2 "needs --calib" pare-prune digits_cnn.onnx --macs 0.5 --importance activation -o bad.onnx
expect 2 "belongs to --importance activation" pare-prune digits_cnn.onnx --macs 0.5 --calib "$test_set" -o bad.onnx
expect 2 "one of l1, l2, batchnorm, median, activation" pare-prune digits_cnn.onnx --macs 0.5 --importance l3 -o bad.onnx
expect 5 "digits_cnn.onnx: expected the target to be met before all channels are gone" pare-prune digits_cnn.onnx --macs 0.001 -o bad.onnx
expect 5 "a .pare file is final" pare-prune small.pare --macs 0.5 -o bad.onnx
expect 2 "is the input" pare-prune digits_cnn.onnx --macs 0.5 -o digits_cnn.onnx
[ ! -e bad.onnx ] || fail "a refused run left an output"
exit $failed
