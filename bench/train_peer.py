#!/usr/bin/python3
"""PyTorch as the peer of training: trains an ONNX network as an ordinary PyTorch user would, eagerly.

usage: bench/train_peer.py MODEL.onnx BATCHES --batch N [--steps N] [--threads N] [--lr X] [--momentum X]
                           [--warmup N] [--channels-last] [--inplace] [--dropout] [--save-batches [--seed N]]

BATCHES holds, for each step, N samples of the model's input as little-endian float32, then N labels as int32.
--save-batches draws them itself (normal inputs, uniform labels) and writes the file first. The loss is the mean
cross-entropy of the first output (a Softmax at its end is left out), the optimizer SGD without weight decay.
BatchNormalization trains; Dropout is an identity unless --dropout is given, so that losses can be compared.

Prints `step loss milliseconds` for each step (forward, loss, backward, update), and at the end one line of JSON:
images per second over the steps after the warm-up, and the peak of resident memory (with what was resident before
the first step: Python, its libraries, and the weights). Needs Debian's python3-torch and python3-onnx.
"""
import argparse
import json
import os
import resource
import statistics
import sys
import time

import numpy
import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper


class Unsupported(Exception):
    pass


def ints(operand):
    """An integer operand as a list: a constant, or what a Shape computes."""
    return [int(i) for i in operand.reshape(-1)]


def require(condition, text):
    if not condition:
        raise Unsupported(text)


# --- windows -------------------------------------------------------------------


def same_pads(size, kernel, stride, dilation, lower):
    """Padding of auto_pad SAME as (before, after)."""
    total = max(0, (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
    half = total // 2
    return (total - half, half) if lower else (half, total - half)


def window(attrs, rank):
    """Strides, dilations, and a function from the input's and the kernel's extents to (before, after) by axis."""
    strides, dilations = attrs.get("strides", [1] * rank), attrs.get("dilations", [1] * rank)
    pads, mode = attrs.get("pads", [0] * (2 * rank)), attrs.get("auto_pad", b"NOTSET").decode()

    def pairs(extents, kernel):
        if mode.startswith("SAME"):
            return [same_pads(*each, mode == "SAME_LOWER") for each in zip(extents, kernel, strides, dilations)]
        return list(zip(pads[:rank], pads[rank:]))

    return strides, dilations, pairs


def padded(x, pairs, value=0.0):
    """x and the symmetric padding that is left for the operator: uneven pads are a copy of their own."""
    if all(before == after for before, after in pairs):
        return x, [before for before, _ in pairs]
    flat = [extent for pair in reversed(pairs) for extent in pair]
    return F.pad(x, flat, value=value), [0] * len(pairs)


def conv(attrs, inputs):
    require(inputs[1] is not None, "constant weights of a Conv")
    rank = inputs[1].dim() - 2
    strides, dilations, pairs = window(attrs, rank)
    function, group = {1: F.conv1d, 2: F.conv2d}[rank], attrs.get("group", 1)

    def run(x, w, b=None):
        x, padding = padded(x, pairs(x.shape[2:], w.shape[2:]))
        return function(x, w, b, strides, padding, dilations, group)

    return run


def conv_transpose(attrs, inputs):
    require(inputs[1] is not None, "constant weights of a ConvTranspose")
    rank = inputs[1].dim() - 2
    strides, dilations, pairs = window(attrs, rank)
    function, extra = {1: F.conv_transpose1d, 2: F.conv_transpose2d}[rank], attrs.get("output_padding", [0] * rank)
    require("output_shape" not in attrs and "auto_pad" not in attrs, "ConvTranspose with pads")
    padding = [before for before, after in pairs(None, None) if before == after]
    require(len(padding) == rank, "ConvTranspose with even pads")
    return lambda x, w, b=None: function(x, w, b, strides, padding, extra, attrs.get("group", 1), dilations)


def max_pool(attrs, _):
    kernel, ceil = attrs["kernel_shape"], bool(attrs.get("ceil_mode", 0))
    strides, dilations, pairs = window(attrs, len(kernel))
    function = {1: F.max_pool1d, 2: F.max_pool2d}[len(kernel)]

    def run(x):
        x, padding = padded(x, pairs(x.shape[2:], kernel), float("-inf"))
        return function(x, kernel, strides, padding, dilations, ceil)

    return run


def average_pool(attrs, _):
    kernel, ceil = attrs["kernel_shape"], bool(attrs.get("ceil_mode", 0))
    strides, _, pairs = window(attrs, len(kernel))
    function, counted = {1: F.avg_pool1d, 2: F.avg_pool2d}[len(kernel)], bool(attrs.get("count_include_pad", 0))

    def run(x):
        around = pairs(x.shape[2:], kernel)
        require(counted or all(before == after for before, after in around), "AveragePool with even pads")
        x, padding = padded(x, around)
        return function(x, kernel, strides, padding, ceil, counted)

    return run


# --- products, normalization -----------------------------------------------------


def gemm(attrs, _):
    alpha, beta = attrs.get("alpha", 1.0), attrs.get("beta", 1.0)
    left, right = bool(attrs.get("transA", 0)), bool(attrs.get("transB", 0))

    def run(a, b, c=None):
        if right and not left and alpha == beta == 1.0 and (c is None or c.dim() == 1):
            return F.linear(a, b, c)
        product = alpha * ((a.t() if left else a) @ (b.t() if right else b))
        return product if c is None else product + beta * c

    return run


def batch_norm(attrs, _):
    momentum, epsilon = 1.0 - attrs.get("momentum", 0.9), attrs.get("epsilon", 1e-5)
    return lambda x, scale, bias, mean, var: F.batch_norm(x, mean, var, scale, bias, True, momentum, epsilon)


# --- element functions ------------------------------------------------------------


def relu(attrs, _):
    inplace = attrs["inplace"]
    return lambda x: F.relu(x, inplace)


def clip(attrs, inputs):
    bounds = [attrs.get("min"), attrs.get("max")]
    for i, bound in enumerate(inputs[1:3]):
        bounds[i] = float(bound) if bound is not None else None
    low, high = bounds
    if low == 0.0 and (high is None or high >= numpy.finfo(numpy.float32).max):
        return lambda x, *_: F.relu(x, attrs["inplace"])
    if low is None or high is None:
        return lambda x, *_: torch.clamp(x, low, high)
    return lambda x, *_: F.hardtanh(x, low, high, attrs["inplace"])


def hard_sigmoid(attrs, _):
    alpha, beta = attrs.get("alpha", 0.2), attrs.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return F.hardsigmoid
    return lambda x: torch.clamp(alpha * x + beta, 0, 1)


def dropout(attrs, inputs):
    ratio = float(inputs[1]) if len(inputs) > 1 and inputs[1] is not None else attrs.get("ratio", 0.5)
    return (lambda x, *_: F.dropout(x, ratio)) if attrs["dropout"] else (lambda x, *_: x)


# --- movement ----------------------------------------------------------------------


def reshape(_, __):
    def run(x, target):
        dims = ints(target)
        return x.reshape([x.shape[i] if d == 0 else d for i, d in enumerate(dims)])

    return run


def flatten(attrs, _):
    axis = attrs.get("axis", 1)
    if axis == 1:
        return lambda x: torch.flatten(x, 1)
    return lambda x: x.reshape(int(numpy.prod(x.shape[:axis], dtype=numpy.int64)), -1)


def slice_(attrs, _):
    def run(x, *operands):
        given = list(operands) + [None] * (4 - len(operands))
        starts, ends = (ints(given[i]) if given[i] is not None else attrs[("starts", "ends")[i]] for i in range(2))
        axes = ints(given[2]) if given[2] is not None else attrs.get("axes", range(len(starts)))
        steps = ints(given[3]) if given[3] is not None else [1] * len(starts)
        cut = [slice(None)] * x.dim()
        for start, end, axis, step in zip(starts, ends, axes, steps):
            require(step > 0, "Slice with steps above 0")
            cut[axis] = slice(start, end, step)
        return x[tuple(cut)]

    return run


def pad(attrs, _):
    require(attrs.get("mode", b"constant") == b"constant", "Pad with a constant")

    def run(x, pads=None, value=None, axes=None):
        amounts = ints(pads) if pads is not None else attrs["pads"]
        fill = float(value) if value is not None else attrs.get("value", 0.0)
        pairs, half = [(0, 0)] * x.dim(), len(amounts) // 2
        for i, axis in enumerate(ints(axes) if axes is not None else range(half)):
            pairs[axis] = (amounts[i], amounts[half + i])
        return F.pad(x, [extent for pair in reversed(pairs) for extent in pair], value=fill)

    return run


def axes_of(attrs, operand):
    return ints(operand) if operand is not None else attrs.get("axes")


def reduce_mean(attrs, _):
    keep = bool(attrs.get("keepdims", 1))

    def run(x, axes=None):
        return x.mean(axes_of(attrs, axes) or list(range(x.dim())), keepdim=keep)

    return run


def squeeze(attrs, _):
    def run(x, axes=None):
        chosen = axes_of(attrs, axes)
        chosen = range(x.dim()) if chosen is None else [a % x.dim() for a in chosen]
        return x.reshape([d for i, d in enumerate(x.shape) if not (i in chosen and d == 1)])

    return run


def unsqueeze(attrs, _):
    def run(x, axes=None):
        chosen = axes_of(attrs, axes)
        for axis in sorted(a % (x.dim() + len(chosen)) for a in chosen):
            x = x.unsqueeze(axis)
        return x

    return run


def gather(attrs, _):
    axis = attrs.get("axis", 0)
    return lambda x, i: torch.index_select(x, axis, i.reshape(-1).long()).reshape(
        *x.shape[:axis], *i.shape, *x.shape[axis + 1:])


def softmax(function):
    def make(attrs, _):
        axis = attrs.get("axis", -1 if attrs["opset"] >= 13 else 1)
        require(attrs["opset"] >= 13 or axis == -1 or axis == 1, "softmax over the last axis")

        def run(x):
            require(attrs["opset"] >= 13 or axis in (-1, x.dim() - 1), "softmax over the last axis")
            return function(x, axis)

        return run

    return make


def plain(function):
    return lambda attrs, inputs: function


BUILDERS = {
    "Conv": conv, "ConvTranspose": conv_transpose, "MaxPool": max_pool, "AveragePool": average_pool, "Gemm": gemm,
    "BatchNormalization": batch_norm, "Relu": relu, "Clip": clip, "HardSigmoid": hard_sigmoid, "Dropout": dropout,
    "Reshape": reshape, "Flatten": flatten, "Slice": slice_, "Pad": pad, "ReduceMean": reduce_mean,
    "Squeeze": squeeze, "Unsqueeze": unsqueeze, "Gather": gather, "Softmax": softmax(F.softmax),
    "LogSoftmax": softmax(F.log_softmax), "MatMul": plain(torch.matmul), "Add": plain(torch.add),
    "Sub": plain(torch.sub), "Mul": plain(torch.mul), "Div": plain(torch.div), "Sigmoid": plain(torch.sigmoid),
    "Tanh": plain(torch.tanh), "HardSwish": plain(F.hardswish), "Identity": plain(lambda x: x),
    "GlobalAveragePool": plain(lambda x: F.adaptive_avg_pool2d(x, 1) if x.dim() == 4 else x.mean(-1, keepdim=True)),
    "GlobalMaxPool": plain(lambda x: torch.amax(x, list(range(2, x.dim())), keepdim=True)),
    "LeakyRelu": lambda attrs, _: lambda x: F.leaky_relu(x, attrs.get("alpha", 0.01)),
    "Elu": lambda attrs, _: lambda x: F.elu(x, attrs.get("alpha", 1.0)),
    "Transpose": lambda attrs, _: lambda x: x.permute(attrs.get("perm", list(range(x.dim()))[::-1])),
    "Concat": lambda attrs, _: lambda *parts: torch.cat(parts, attrs["axis"]),
    "Shape": plain(lambda x: torch.tensor(x.shape)),
    "Cast": lambda attrs, _: lambda x: x.to(
        torch.from_numpy(numpy.zeros(1, onnx.mapping.TENSOR_TYPE_TO_NP_TYPE[attrs["to"]])).dtype),
}

WEIGHTS = {"Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (1, 2), "MatMul": (0, 1), "BatchNormalization": (1, 2)}
OVERWRITABLE = {"BatchNormalization", "Add"}  # producers that do not need their own output for the gradient


# --- the network ----------------------------------------------------------------------


class Network(torch.nn.Module):
    """The nodes of an ONNX graph in order; constants that layers own are its parameters."""

    def __init__(self, model, inplace, with_dropout):
        super().__init__()
        graph = model.graph
        self.opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self.constants = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
        inputs = [i for i in graph.input if i.name not in self.constants]
        require(len(inputs) == 1, "a network of one input")
        self.input = inputs[0].name
        self.sample_shape = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim][1:]
        require(all(d > 0 for d in self.sample_shape), "an input whose extents but the batch are fixed")
        self.output = graph.output[0].name
        nodes = self.without_last_softmax(self.without_constants(graph.node))
        self.producer = {o: node for node in nodes for o in node.output}
        self.readers = [i for node in nodes for i in node.input] + [self.output]
        for node in nodes:
            self.own_weights(node)
        self.nodes = [self.build(node, inplace, with_dropout) for node in nodes]
        self.free_after_last_use(nodes)

    def without_constants(self, nodes):
        kept = []
        for node in nodes:
            if node.op_type == "Constant":
                value = helper.get_attribute_value(node.attribute[0])
                array = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else numpy.array(value)
                self.constants[node.output[0]] = torch.from_numpy(array.copy())
            else:
                kept.append(node)
        return kept

    def without_last_softmax(self, nodes):
        last = next(node for node in nodes if self.output in node.output)
        self.dropped_softmax = last.op_type == "Softmax"
        if self.dropped_softmax:
            self.output = last.input[0]
            nodes = [node for node in nodes if node is not last]
        return nodes

    def own(self, name):
        constant = self.constants.get(name)
        if constant is not None and constant.dtype == torch.float32 and not isinstance(constant, torch.nn.Parameter):
            self.constants[name] = torch.nn.Parameter(constant)
            self.register_parameter(name.replace(".", "_").replace("/", "_") + "_%d" % len(self._parameters),
                                    self.constants[name])

    def own_weights(self, node):
        for i in WEIGHTS.get(node.op_type, ()):
            if i < len(node.input):
                self.own(node.input[i])
        if node.op_type == "Add":  # the bias of a MatMul
            for x, b in (node.input, node.input[::-1]):
                made = self.producer.get(x)
                if made is not None and made.op_type == "MatMul" and b in self.constants and \
                        self.constants[b].dim() == 1:
                    self.own(b)

    def build(self, node, inplace, with_dropout):
        require(node.op_type in BUILDERS and node.domain in ("", "ai.onnx"), "operators of the list, found " + node.op_type)
        attrs = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        source = self.producer.get(node.input[0]) if node.input else None
        attrs["inplace"] = inplace and self.readers.count(node.input[0]) == 1 and source is not None and \
            source.op_type in OVERWRITABLE
        attrs["dropout"], attrs["opset"] = with_dropout, self.opset
        function = BUILDERS[node.op_type](attrs, [self.constants.get(i) for i in node.input])
        operands = [(self.constants.get(i), i if i not in self.constants else None) for i in node.input]
        while operands and operands[-1] == (None, ""):
            operands.pop()
        return [function, operands, node.output[0], []]

    def free_after_last_use(self, nodes):
        last = {i: n for n, node in enumerate(nodes) for i in node.input if i not in self.constants and i != ""}
        for name, n in last.items():
            if name != self.output:
                self.nodes[n][3].append(name)

    def forward(self, x):
        values = {self.input: x, "": None}
        for function, operands, output, unused in self.nodes:
            values[output] = function(*[values[name] if name is not None else constant for constant, name in operands])
            for name in unused:
                del values[name]
        return values[self.output]


# --- the run ------------------------------------------------------------------------------


def write_batches(path, network, options):
    """Normal inputs and uniform labels; the classes are counted by a run whose running statistics are not kept."""
    kept = {name: constant.clone() for name, constant in network.constants.items()}
    with torch.no_grad():
        classes = network(torch.zeros(2, *network.sample_shape)).shape[1]
        for name, constant in network.constants.items():
            constant.copy_(kept[name])
    random = numpy.random.RandomState(options.seed)
    with open(path, "wb") as file:
        for _ in range(options.steps or 20):
            random.standard_normal((options.batch, *network.sample_shape)).astype("<f4").tofile(file)
            random.randint(0, classes, options.batch).astype("<i4").tofile(file)


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def train(network, options):
    elements = int(numpy.prod(network.sample_shape))
    each = (elements + 1) * 4 * options.batch
    size = os.path.getsize(options.batches)
    require(size > 0 and size % each == 0, "batches of %d bytes, found a file of %d" % (each, size))
    steps = options.steps or size // each
    require(steps <= size // each, "at most the file's %d steps, found --steps %d" % (size // each, steps))
    order = torch.channels_last if options.channels_last else torch.contiguous_format
    if options.channels_last:
        network.to(memory_format=order)
    optimizer = torch.optim.SGD(network.parameters(), lr=options.lr, momentum=options.momentum)
    before, times, losses = resident_bytes(), [], []
    with open(options.batches, "rb") as file:
        for step in range(steps):
            x = numpy.fromfile(file, "<f4", options.batch * elements).reshape(options.batch, *network.sample_shape)
            labels = numpy.fromfile(file, "<i4", options.batch).astype(numpy.int64)
            began = time.perf_counter()
            x, labels = torch.from_numpy(x), torch.from_numpy(labels)
            if options.channels_last and x.dim() == 4:
                x = x.to(memory_format=order)
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(network(x), labels)
            loss.backward()
            optimizer.step()
            times.append(time.perf_counter() - began)
            losses.append(loss.item())
            print("%d %.7g %.3f" % (step, losses[-1], times[-1] * 1e3), flush=True)
    measured = times[min(options.warmup, steps - 1):]
    return {
        "peer": "PyTorch " + torch.__version__, "threads": torch.get_num_threads(), "batch": options.batch,
        "steps": steps, "measured_steps": len(measured), "channels_last": options.channels_last,
        "inplace": options.inplace, "softmax_left_out": network.dropped_softmax,
        "images_per_second_mean": options.batch * len(measured) / sum(measured),
        "images_per_second_median": options.batch / statistics.median(measured),
        "first_loss": losses[0], "last_loss": losses[-1],
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "rss_before_bytes": before,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("batches")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, default=0, help="default: what the file holds; with --save-batches 20")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--warmup", type=int, default=3, help="steps that the figures leave out")
    parser.add_argument("--channels-last", action="store_true", help="activations and weights as NHWC")
    parser.add_argument("--inplace", action="store_true", help="Relu and Clip overwrite, as torchvision's networks do")
    parser.add_argument("--dropout", action="store_true", help="Dropout drops")
    parser.add_argument("--save-batches", action="store_true", help="draws the batches and writes the file first")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    try:
        network = Network(onnx.load(options.model), options.inplace, options.dropout)
        if options.save_batches:
            write_batches(options.batches, network, options)
        print(json.dumps(train(network, options)))
    except (Unsupported, OSError) as error:
        sys.exit("train_peer.py: %s: %s%s" % (
            options.model, "" if isinstance(error, OSError) else "expected ", error))


if __name__ == "__main__":
    main()
