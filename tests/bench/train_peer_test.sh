#!/bin/bash
# bench/train_peer.py: the same losses in either layout and in place, from the file that it wrote; refusals.
python=/usr/bin/python3
if ! $python -c 'import torch, onnx' 2>/dev/null; then
  echo "skipped: no python3-torch and python3-onnx"
  exit 77
fi
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$PARE_TESTS/../bench" || exit 1
PYTHONDONTWRITEBYTECODE=1 $python - ../models/digits/digits_cnn.onnx "$folder/batches" <<'END'
import contextlib, io, json, os, sys
import train_peer

model, batches = sys.argv[1:]

def run(*options):
    sys.argv = ["train_peer.py", model, batches, "--threads", "1", "--lr", "0.001", *options]
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        train_peer.main()
    lines = text.getvalue().splitlines()
    return [float(line.split()[1]) for line in lines[:-1]], json.loads(lines[-1])

def refused(text, *options):
    try:
        run(*options)
    except SystemExit as refusal:
        assert text in str(refusal), refusal
    else:
        raise AssertionError("expected a refusal: " + text)

losses, figures = run("--batch", "8", "--steps", "4", "--warmup", "1", "--save-batches", "--seed", "3")
elements = (os.path.getsize(batches) // 4 // 4 // 8) - 1
assert len(losses) == 4 and losses[0] != losses[3] and os.path.getsize(batches) == 4 * 8 * (elements + 1) * 4
assert figures["measured_steps"] == 3 and figures["images_per_second_median"] > 0
assert figures["peak_rss_bytes"] >= figures["rss_before_bytes"] > 0
again, figures = run("--batch", "8", "--channels-last", "--inplace")
assert figures["steps"] == 4 and figures["channels_last"] and figures["inplace"]
for a, b in zip(losses, again):
    assert abs(a - b) <= 1e-3 * abs(a), (losses, again)
refused("batches of", "--batch", "7")
refused("at most the file's 4 steps", "--batch", "8", "--steps", "5")
END
