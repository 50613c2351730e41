#!/bin/bash
# The main job on the sample network: quantize, emit, run, evaluate, compare.
. "$PARE_TESTS/tools/sample.sh"
number() { python3 -c "import json,sys; v=json.load(open(sys.argv[1]))
for k in sys.argv[2].split('.'): v=v[int(k) if k.isdigit() else k]
print(v)" "$1" "$2"; }
holds() { python3 -c "import sys; sys.exit(0 if ($1) else 1)" || fail "$1"; }

expect 0 quantized pare-quantize digits_cnn.onnx --calib "$train" -o q.onnx --json q.json
expect 0 ratio pare-emit q.onnx -o q.pare --json e.json
expect 0 ratio pare-emit digits_cnn.onnx -o f.pare
expect 0 top-1 pare-eval digits_cnn.onnx --data "$test_set" --json float.json
expect 0 agreement pare-eval q.pare --data "$test_set" --against digits_cnn.onnx --json int8.json
holds "$(number float.json samples) == 300 and $(number float.json top1) > 0.9"
holds "$(number int8.json agreement) >= 0.98"
holds "abs($(number int8.json top1) - $(number float.json top1)) <= 0.02"
holds "$(number e.json output_bytes) <= 0.35 * $(stat -c %s digits_cnn.onnx)"
holds "$(number e.json output_bytes) == $(stat -c %s q.pare)"

# The metadata travelled: no sidecar beside q.pare is needed.
mkdir alone && cp q.pare alone/ && (cd alone && expect 0 top-1 pare-eval q.pare --data "${test_set//digits\//../digits/}")

# The same bytes again, and from every kernel, thread count and batch.
expect 0 quantized pare-quantize digits_cnn.onnx --calib "$train" -o q2.onnx
cmp q.onnx q2.onnx || fail "pare-quantize is not deterministic"
expect 0 ratio pare-emit q2.onnx -o q2.pare
cmp q.pare q2.pare || fail "pare-emit is not deterministic"
python3 - <<'P'
import array, random, struct
random.seed(3)
for name, count in (("x7.npy", 7), ("x1.npy", 1)):
    random.seed(3)
    values = array.array("f", [random.uniform(-0.6, 2.7) for _ in range(count * 784)])
    header = ("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 1, 28, 28), }" % count).ljust(117) + "\n"
    open(name, "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + values.tobytes())
P
expect 0 float32 pare-run q.pare --input x7.npy -o y.npy --threads 1
for variant in "--threads 2" "--reference" "--isa avx2" "--isa scalar"; do
  # shellcheck disable=SC2086
  expect 0 float32 pare-run q.pare --input x7.npy -o other.npy $variant
  cmp y.npy other.npy || fail "int8 bytes differ with $variant"
done
expect 0 float32 pare-run q.onnx --input x7.npy -o other.npy
cmp y.npy other.npy || fail "QDQ ONNX and .pare differ"
expect 0 float32 pare-run q.pare --input x1.npy -o one.npy
cmp <(tail -c +129 one.npy) <(tail -c +129 y.npy | head -c 40) || fail "batch 1 and batch 7 differ"

expect 0 median pare-bench q.pare --iterations 5 --json b.json --layers
holds "$(number b.json median_ms) > 0 and $(number b.json peak_rss_bytes) > 0"
expect 0 parameters pare-inspect digits_cnn.onnx --json i.json
holds "$(number i.json parameters) > 30000 and $(number i.json macs) > 100000"
expect 0 weights pare-inspect q.pare --json i.json
holds "sum($(number i.json bytes).values()) == $(number i.json file_bytes)"
python3 - <<'P' || fail "pare-inspect: the constants' bits"
import json
d = json.load(open("i.json"))
weights = [t for t in d["tensors"] if t["dtype"] == "int8"]
assert sum(t["bytes"] for t in d["tensors"]) <= d["bytes"]["weights"] and len(weights) >= 3, d["tensors"]
for t in d["tensors"]:
    assert abs(t["bits_per_element"] - 8 * t["bytes"] / t["elements"]) < 1e-9 and t["codec"] != "unknown", t
    assert (t["entropy"] is not None) == (t["dtype"] in ("int8", "uint8")), t
assert all(0.5 < t["entropy"] < min(8, t["bits_per_element"] + 0.5) for t in weights), weights
P
expect 0 McNemar pare-compare digits_cnn.onnx q.onnx q.pare --data "$test_set" --html page.html --json c.json
grep -q '<svg' page.html || fail "no chart in the page"
grep -qE 'src=|https?://[^w]' page.html && fail "the page reaches out"
for options in "--method minmax" "--method entropy" "--method percentile" "--granularity per-tensor" "--pairs 7bit" \
  "--pairs free" "--equalize" "--bias-correction" "--exclude-worst 2" "--activations float"; do
  # shellcheck disable=SC2086
  expect 0 out pare-quantize digits_cnn.onnx --calib "$train" --limit 64 -o v.onnx $options
  expect 0 agreement pare-eval v.onnx --data "$test_set" --against digits_cnn.onnx --json v.json
  holds "$(number v.json agreement) >= 0.95"
done
"$PARE_BIN/pare" inspect q.pare -q || fail "pare inspect"
exit $failed
