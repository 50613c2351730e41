// ONNX Runtime as the peer: `run` executes a model on a .npy file, `time` measures it.
//   node peer_onnxruntime.js run MODEL X.npy Y.npy [threads] [batch]
//   node peer_onnxruntime.js time MODEL [threads] [milliseconds]     prints JSON
'use strict';
const fs = require('fs');
const ort = require('onnxruntime-node');

function readNpy(path) {
  const file = fs.readFileSync(path);
  const headerBytes = file[6] === 1 ? file.readUInt16LE(8) : file.readUInt32LE(8);
  const begin = (file[6] === 1 ? 10 : 12) + headerBytes;
  const header = file.toString('latin1', file[6] === 1 ? 10 : 12, begin);
  const shape = header.match(/'shape': \(([^)]*)\)/)[1].split(',').filter((s) => s.trim() !== '').map(Number);
  const type = header.match(/'descr': '([^']*)'/)[1];
  const bytes = file.buffer.slice(file.byteOffset + begin, file.byteOffset + file.length);
  return { shape, type, data: type === '<i8' ? new BigInt64Array(bytes) : new Float32Array(bytes) };
}

function writeNpy(path, shape, data) {
  let header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  header = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + '\n';
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(header.length, 8);
  fs.writeFileSync(path, Buffer.concat([head, Buffer.from(header), Buffer.from(data.buffer, data.byteOffset, data.byteLength)]));
}

async function open(model, threads) {
  return ort.InferenceSession.create(model, {
    intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all', executionMode: 'sequential',
  });
}

async function run(model, xPath, yPath, threads, batch) {
  const session = await open(model, threads);
  const x = readNpy(xPath);
  const each = x.data.length / x.shape[0];
  const parts = [];
  let width = 0;
  for (let at = 0; at < x.shape[0]; at += batch) {
    const count = Math.min(batch, x.shape[0] - at);
    const tensor = new ort.Tensor(x.type === '<i8' ? 'int64' : 'float32', x.data.slice(at * each, (at + count) * each), [count, ...x.shape.slice(1)]);
    const out = (await session.run({ [session.inputNames[0]]: tensor }))[session.outputNames[0]];
    width = out.dims.slice(1);
    parts.push(Float32Array.from(out.data));
  }
  const all = new Float32Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) { all.set(part, at); at += part.length; }
  writeNpy(yPath, [x.shape[0], ...width], all);
}

async function time(model, threads, milliseconds) {
  const session = await open(model, threads);
  const feeds = {};
  session.inputNames.forEach((name, i) => {
    const meta = session.inputMetadata[i];
    const shape = meta.shape.map((d) => (typeof d === 'number' && d > 0 ? d : 1));
    const count = shape.reduce((a, b) => a * b, 1);
    feeds[name] = meta.type === 'int64' ? new ort.Tensor('int64', new BigInt64Array(count), shape)
      : new ort.Tensor('float32', Float32Array.from({ length: count }, (_, k) => ((k * 2654435761) % 1000) / 1000), shape);
  });
  for (let i = 0; i < 5; i++) await session.run(feeds);
  const times = [];
  const end = performance.now() + milliseconds;
  while (performance.now() < end || times.length < 5) {
    const began = performance.now();
    await session.run(feeds);
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  console.log(JSON.stringify({ median_ms: times[times.length >> 1], min_ms: times[0], runs: times.length }));
}

const [verb, model, ...rest] = process.argv.slice(2);
(verb === 'run' ? run(model, rest[0], rest[1], Number(rest[2] || 2), Number(rest[3] || 100))
  : time(model, Number(rest[0] || 1), Number(rest[1] || 500))).catch((error) => { console.error(String(error)); process.exit(1); });
