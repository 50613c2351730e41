# Sourced by the tests of pare-train and pare-distill, after sample.sh: small networks, more drawn digits, a table,
# and helpers. One thread: these networks are too small for two, and the machine may be busy.
cat > small.json <<'J'
{"family": "cnn", "input": [1, 28, 28], "classes": 10, "activation": "relu", "dropout": 0.1,
 "blocks": [{"type": "conv", "channels": 8, "stride": 2}, {"type": "conv", "channels": 16, "stride": 2}],
 "preprocess": {"layout": "NCHW", "color": "gray", "scale": 0.00392156862745098, "mean": [0.17], "std": [0.31],
                "task": "classification"}}
J
"$PARE_BIN/pare-build" small.json -o small.onnx -q || exit 1
"$PARE_BIN/pare-draw-digits" -o more --train 1500 --test 500 --seed 11 -q || exit 1
many=idx:more/train-images.idx3-ubyte,more/train-labels.idx1-ubyte
fresh=idx:more/test-images.idx3-ubyte,more/test-labels.idx1-ubyte
"$PARE_BIN/pare-train" small.onnx --data "$train" --max-steps 1 --threads 1 -q -o first.onnx 2> err.txt
if [ $? -eq 5 ] && grep -q "expected a build with oneDNN" err.txt; then
  echo "skipped: this build does not train"
  exit 77
fi

# quietly COMMAND...: succeeds, and has nothing to say
quietly() {
  "$PARE_BIN/$1" "${@:2}" > out.txt 2> err.txt
  local found=$?
  [ $found -eq 0 ] || fail "$* : exit $found: $(head -c 300 err.txt)"
  [ ! -s out.txt ] && [ ! -s err.txt ] || fail "$* : prints $(cat out.txt err.txt | head -c 300)"
}

number() { # FILE KEY.KEY...
  python3 -c "import json,sys; v=json.load(open(sys.argv[1]))
for k in sys.argv[2].split('.'): v=v[int(k) if k.isdigit() else k]
print(v)" "$1" "$2"
}

holds() { # EXPRESSION of Python
  python3 -c "import sys; sys.exit(0 if ($1) else 1)" || fail "$1"
}

# weights FILE: name and SHA-256 of each weight of an ONNX file
weights() {
  python3 - "$1" <<'P'
import hashlib, sys
def fields(data):
    at = 0
    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]; at += 1
            value |= (byte & 127) << shift; shift += 7
            if byte < 128: return value
    while at < len(data):
        tag = varint()
        if tag & 7 == 2:
            size = varint(); yield tag >> 3, data[at:at + size]; at += size
        elif tag & 7 == 0: yield tag >> 3, varint()
        else: at += 8 if tag & 7 == 1 else 4
graph = [v for n, v in fields(open(sys.argv[1], "rb").read()) if n == 7][0]
for number, tensor in fields(graph):
    if number == 5:
        parts = dict(fields(tensor))
        print(parts[8].decode(), hashlib.sha256(parts.get(9, b"") + parts.get(4, b"")).hexdigest())
P
}

sha() {
  sha256sum "$1" | cut -d ' ' -f 1
}
