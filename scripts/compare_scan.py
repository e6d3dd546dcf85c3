"""Scans a folder of photos in PyTorch and records, for every channel of every layer, what `oneiro scan` records.

    pip install torch numpy onnx pillow            # and onnxruntime for --check
    python scripts/compare_scan.py MODEL.onnx FOLDER [--workers 1] [--batch 8] [--threads 2] [--out FILE.json]

FOLDER holds one folder per class. A DataLoader decodes the photos with PIL, resizes their shorter side to
--resize and crops the centre. The card MODEL.toml says how pixels are prepared. The network is built from
the ONNX file. Its layers are the outputs of activation functions, of convolutions (with their batch
normalization) that no activation function follows, and the logits.

Each channel keeps the 32 photos with the largest spatial maximum, the smallest spatial maximum and the
largest spatial mean. It keeps mean, variance and fraction of positions above zero, and mean and maximum
per class. --out writes {layer: {channel: {"best": [[file, value, y, x], ...], "worst": ...,
"best_by_mean": ..., "mean": ..., "variance": ..., "fraction_active": ...}}}. In every list y, x is the
position of the maximum. Which of several equal values is kept is not defined.

Prints photos per second, seconds, and core-seconds per photo (user and system time, with that of
DataLoader workers). Three parts are timed: decoding alone, the network alone on photos in memory, and the
whole scan. Compiling and warming up are outside them. With --check it compares all layers with
onnxruntime instead.
"""

import argparse
import ctypes
import json
import os
import sys
import time
import tomllib
from pathlib import Path

# PyTorch reads this variable and the next when imported. Waiting threads would otherwise spin, which costs CPU time.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Compiled networks get their weights in the layout of the kernels.
os.environ.setdefault("TORCHINDUCTOR_FREEZING", "1")

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils.data import DataLoader, Dataset

KEPT = 32
SHORTER_SIDE = 256
# Number of photos between two updates of the example lists: `topk` costs little more for 32 new values than for 8.
BETWEEN_MERGES = 32
# Number of photos, held in memory, on which the network alone is timed.
IN_MEMORY = 256
TOLERANCE = 1e-4
ACTIVATIONS = {"Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSwish"}
DTYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 11: torch.float64}


def listed(value):
    """Returns an operator's integer parameter as a list; `Network` has already converted constant ones."""
    return value.tolist() if isinstance(value, torch.Tensor) else value


def padding(pads):
    """Returns the padding of a convolution or pooling, and what `F.pad` must add first if both ends differ."""
    half = len(pads) // 2
    begins, ends = pads[:half], pads[half:]
    if begins == ends:
        return begins, None
    return [0] * half, [n for pair in zip(reversed(begins), reversed(ends)) for n in pair]


def convolution(a, x, weight, bias=None):
    pads, before = padding(a.get("pads", [0, 0, 0, 0]))
    x = x if before is None else F.pad(x, before)
    return F.conv2d(x, weight, bias, a.get("strides", 1), pads, a.get("dilations", 1), a.get("group", 1))


def max_pool(a, x):
    pads, before = padding(a.get("pads", [0, 0, 0, 0]))
    x = x if before is None else F.pad(x, before, value=float("-inf"))
    size, strides = a["kernel_shape"], a.get("strides", 1)
    return F.max_pool2d(x, size, strides, pads, a.get("dilations", 1), bool(a.get("ceil_mode", 0)))


def average_pool(a, x):
    pads, before = padding(a.get("pads", [0, 0, 0, 0]))
    if before is not None:
        sys.exit("AveragePool with uneven pads is not among the operators that this script knows")
    counted = bool(a.get("count_include_pad", 0))
    return F.avg_pool2d(x, a["kernel_shape"], a.get("strides", 1), pads, bool(a.get("ceil_mode", 0)), counted)


def gemm(a, x, weight, bias=None):
    if a.get("transA", 0) or a.get("alpha", 1.0) != 1 or a.get("beta", 1.0) != 1:
        sys.exit("Gemm is known as a linear layer only")
    return F.linear(x, weight if a.get("transB", 0) else weight.T, bias)


def reshape(a, x, shape):
    shape = listed(shape)
    return x.reshape([x.shape[i] if n == 0 and not a.get("allowzero", 0) else n for i, n in enumerate(shape)])


def pad(a, x, pads, value=None, axes=None):
    mode = a.get("mode", b"constant").decode()
    if axes is not None or mode != "constant":
        sys.exit("Pad is known without axes and with constants only")
    pads, rank = listed(pads), x.dim()
    return F.pad(
        x, [pads[i] for axis in reversed(range(rank)) for i in (axis, axis + rank)], value=float(value or 0)
    )


def slices(a, x, starts, ends, axes=None, steps=None):
    starts, ends = listed(starts), listed(ends)
    axes = list(range(len(starts))) if axes is None else listed(axes)
    for start, end, axis, step in zip(
        starts, ends, axes, [1] * len(starts) if steps is None else listed(steps)
    ):
        # `range` supports negative steps, which PyTorch's slices do not.
        chosen = torch.tensor(range(x.shape[axis])[start:end:step], dtype=torch.int64)
        x = x.index_select(axis, chosen)
    return x


def unsqueeze(a, x, axes):
    for axis in sorted(listed(axes)):
        x = x.unsqueeze(axis)
    return x


def squeeze(a, x, axes=None):
    return x.squeeze() if axes is None else x.squeeze(tuple(listed(axes)))


def divide(a, x, y):
    whole = isinstance(x, torch.Tensor) and not x.is_floating_point()
    return torch.div(x, y, rounding_mode="trunc" if whole else None)


def filled(a, shape):
    value = torch.from_numpy(numpy_helper.to_array(a["value"]).copy()) if "value" in a else torch.zeros(1)
    return value.expand(listed(shape)).clone()


# How each operator is computed from its attributes and inputs.
OPERATORS = {
    "Add": lambda a, x, y: x + y,
    "AveragePool": average_pool,
    "BatchNormalization": lambda a, x, scale, bias, mean, var: F.batch_norm(
        x, mean, var, scale, bias, False, 0.0, a.get("epsilon", 1e-5)
    ),
    "Cast": lambda a, x: x.to(DTYPES[a["to"]]),
    "Clip": lambda a, x, low=None, high=None: torch.clamp(x, low, high),
    "Concat": lambda a, *x: torch.cat(x, a["axis"]),
    "Constant": lambda a: torch.from_numpy(numpy_helper.to_array(a["value"]).copy()),
    "ConstantOfShape": filled,
    "Conv": convolution,
    "Div": divide,
    "Dropout": lambda a, x, *_: x,
    "Flatten": lambda a, x: x.flatten(a.get("axis", 1)),
    "Gather": lambda a, x, i: x.index_select(a.get("axis", 0), i.reshape(-1)).reshape(
        x.shape[: a.get("axis", 0)] + i.shape + x.shape[a.get("axis", 0) + 1 :]
    ),
    "Gemm": gemm,
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "HardSwish": lambda a, x: F.hardswish(x),
    "Identity": lambda a, x: x,
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "MaxPool": max_pool,
    "Mul": lambda a, x, y: x * y,
    "Neg": lambda a, x: -x,
    "Pad": pad,
    "Relu": lambda a, x: F.relu(x),
    "Reshape": reshape,
    "Shape": lambda a, x: torch.tensor(x.shape),
    "Sigmoid": lambda a, x: torch.sigmoid(x),
    "Slice": slices,
    "Softmax": lambda a, x: x.softmax(a.get("axis", -1)),
    "Squeeze": squeeze,
    "Sub": lambda a, x, y: x - y,
    "Transpose": lambda a, x: x.permute(a["perm"]),
    "Unsqueeze": unsqueeze,
}
IN_PLACE = {"Relu": lambda a, x: F.relu_(x), "Clip": lambda a, x, low=None, high=None: x.clamp_(low, high)}


class Operation(nn.Module):
    """A node of the graph. `inputs` names its data inputs; weights are buffers, other constants numbers or lists."""

    def __init__(self, node, inputs, output, constants):
        super().__init__()
        self.type, self.output = node.op_type, output
        self.attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if self.type not in OPERATORS:
            sys.exit(f"{self.type} is not among the operators that this script knows")
        self.function = OPERATORS[self.type]
        self.arguments, self.inputs = [], []
        for i, name in enumerate(inputs):
            if not name:
                self.arguments.append(("constant", None))
            elif name not in constants:
                self.arguments.append(("data", len(self.inputs)))
                self.inputs.append(name)
            elif not constants[name].is_floating_point():
                self.arguments.append(("constant", constants[name].tolist()))
            elif constants[name].dim() == 0:
                self.arguments.append(("constant", constants[name].item()))
            else:
                self.register_buffer(f"input{i}", constants[name])
                self.arguments.append(("buffer", f"input{i}"))

    def forward(self, *data):
        kinds = {
            "data": lambda i: data[i],
            "buffer": lambda name: getattr(self, name),
            "constant": lambda c: c,
        }
        return self.function(self.attributes, *(kinds[kind](which) for kind, which in self.arguments))

    def argument(self, i):
        """Returns the weights that are the node's input `i`, or None."""
        kind, which = self.arguments[i] if i < len(self.arguments) else ("constant", None)
        return getattr(self, which) if kind == "buffer" else None


class Network(nn.Module):
    """The network of an ONNX file with one input, an image, ready for inference at the size of its card.

    Whatever depends on shapes alone is computed once. Batch normalization goes into the weights of the
    convolution before it, and activation functions work in place. `layers` names the outputs to look at; None
    means all layers.
    """

    def __init__(self, path, layers=None):
        super().__init__()
        graph = onnx.load(str(path)).graph
        card = tomllib.loads(Path(path).with_suffix(".toml").read_text())
        self.picture = card["input"][0]
        self.size = self.picture["size"]
        constants = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
        (self.input,) = [i.name for i in graph.input if i.name not in constants]
        self.output = graph.output[0].name
        operations = self._operations(graph, constants)
        aliases = card.get("layers", {})
        self.layers = [aliases.get(name, name) for name in layers or self._layers(operations)]
        outputs = [o.output for o in operations]
        missing = [name for name in self.layers if name not in outputs]
        if missing:
            sys.exit(f"there is no layer {missing[0]}; there are {', '.join(outputs)}")
        self.operations = nn.ModuleList(self._optimized(operations))
        last = {name: i for i, o in enumerate(self.operations) for name in o.inputs}
        self.unused = [
            [n for n, at in last.items() if at == i and n != self.output] for i in range(len(self.operations))
        ]
        per_channel = lambda key: torch.tensor(self.picture[key]).view(1, 3, 1, 1)
        self.register_buffer("scale", self.picture["range"] / 255 / per_channel("std"))
        self.register_buffer("shift", -per_channel("mean") / per_channel("std"))
        self.order = ["rgb".index(color) for color in self.picture["order"]]
        self.eval().to(memory_format=torch.channels_last)

    def _operations(self, graph, constants):
        """Returns the nodes that depend on pixels; values that depend on shapes only become constants."""
        values, operations = {self.input: torch.zeros(1, 3, *self.size)}, []
        for node in graph.node:
            known = node.op_type == "Shape" or all(not name or name in constants for name in node.input)
            operation = Operation(node, node.input, node.output[0], {} if known else constants)
            inputs = [(values | constants if known else values)[name] for name in operation.inputs]
            with torch.inference_mode():
                value = operation(*inputs)
            if known:
                constants[operation.output] = value.clone()
            else:
                values[operation.output] = value
                operations.append(operation)
        self.shapes = {name: list(value.shape[1:]) for name, value in values.items()}
        return operations

    def _layers(self, operations):
        consumers = {}
        for operation in operations:
            for name in operation.inputs:
                consumers.setdefault(name, []).append(operation)
        layers = []
        for operation in operations:
            if operation.type in ACTIVATIONS:
                layers.append(operation.output)
            elif operation.type == "Conv":
                following = consumers.get(operation.output, [])
                if [o.type for o in following] == ["BatchNormalization"]:
                    (operation,) = following
                    following = consumers.get(operation.output, [])
                if not any(o.type in ACTIVATIONS for o in following):
                    layers.append(operation.output)
        if self.output not in layers:
            layers.append(self.output)
        return [o.output for o in operations if o.output in layers]

    def _optimized(self, operations):
        """Returns the operations with padding and batch normalisation merged into convolutions, and activations in
        place."""
        kept, by_output = [], {}
        uses = {}
        for name in [name for o in operations for name in o.inputs] + self.layers + [self.output]:
            uses[name] = uses.get(name, 0) + 1
        for operation in operations:
            before = by_output.get(operation.inputs[0]) if operation.inputs else None
            only = before is not None and uses[before.output] == 1
            if operation.type == "Conv" and only and before.type == "Pad" and self._padded(operation, before):
                kept.remove(before)
            elif operation.type == "BatchNormalization" and only and before.type == "Conv":
                self._normalized(before, operation)
                by_output[operation.output] = before
                continue
            elif operation.type in IN_PLACE and only and before.type in ("Conv", "Add", "BatchNormalization"):
                operation.function = IN_PLACE[operation.type]
            by_output[operation.output] = operation
            kept.append(operation)
        return kept

    @staticmethod
    def _padded(convolution, pad):
        """Moves the zeros of a Pad into the convolution, if PyTorch can pad both ends equally."""
        pads, own = pad.arguments[1][1], convolution.attributes.get("pads", [0, 0, 0, 0])
        value = pad.arguments[2][1] if len(pad.arguments) > 2 else None
        even = pads[2:4] == pads[6:8] and own[:2] == own[2:]
        if value or any(pads[:2] + pads[4:6]) or not even:
            return False
        convolution.attributes["pads"] = [p + q for p, q in zip(own, pads[2:4] + pads[6:8])]
        convolution.inputs[0] = pad.inputs[0]
        return True

    @staticmethod
    def _normalized(convolution, normalization):
        scale, bias, mean, variance = (normalization.argument(i) for i in range(1, 5))
        epsilon = normalization.attributes.get("epsilon", 1e-5)
        weight, own = convolution.argument(1), convolution.argument(2)
        weight, own = fuse_conv_bn_weights(weight, own, mean, variance, epsilon, scale, bias)
        convolution.arguments = [("data", 0), ("buffer", "input1"), ("buffer", "input2")]
        convolution.register_buffer("input1", weight.detach())
        convolution.register_buffer("input2", own.detach())
        convolution.output = normalization.output

    def prepared(self, pixels):
        """Returns the network's input for photos as bytes, [N, H, W, 3], red first."""
        pixels = pixels if self.order == [0, 1, 2] else pixels[..., self.order]
        return pixels.permute(0, 3, 1, 2).float().mul_(self.scale).add_(self.shift)

    def forward(self, pixels):
        values = {self.input: self.prepared(pixels)}
        for operation, unused in zip(self.operations, self.unused):
            values[operation.output] = operation(*(values[name] for name in operation.inputs))
            for name in unused:
                values.pop(name)
        return values[self.output]

    def watch(self, look):
        """Calls `look(layer, activations)` for each layer when it is computed; returns the hooks."""
        watched = [o for o in self.operations if o.output in self.layers]
        hook = lambda module, inputs, output: look(module.output, output)
        return [o.register_forward_hook(hook) for o in watched]


class Photos(Dataset):
    """The photos of class folders, as bytes [H, W, 3] with the index of the class."""

    def __init__(self, folder, size, shorter_side):
        self.folder, self.size, self.shorter_side = Path(folder), size, max(shorter_side, *size)
        self.classes = sorted(f.name for f in self.folder.iterdir() if f.is_dir())
        kinds = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
        self.files = sorted(
            (f"{c}/{f.name}", i)
            for i, c in enumerate(self.classes)
            for f in (self.folder / c).iterdir()
            if f.suffix.lower() in kinds
        )
        if not self.files:
            sys.exit(f"{folder}: no photos in folders of classes")

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        name, label = self.files[i]
        image = Image.open(self.folder / name).convert("RGB")
        scale = self.shorter_side / min(image.size)
        if scale != 1:
            image = image.resize([round(n * scale) for n in image.size], Image.Resampling.BILINEAR)
        height, width = self.size
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return torch.from_numpy(np.array(image.crop((left, top, left + width, top + height)))), label

    def loader(self, batch, workers):
        return DataLoader(self, batch, num_workers=workers)


class Scan:
    """Example lists and statistics of the T channels of all layers, concatenated."""

    def __init__(self, network, classes, compiled):
        sizes = [network.shapes[name][0] for name in network.layers]
        ends = np.cumsum(sizes).tolist()
        self.channels = {name: range(end - n, end) for name, n, end in zip(network.layers, sizes, ends)}
        self.widths = {name: (network.shapes[name] + [1, 1])[2] for name in network.layers}
        self.rectified = {o.output for o in network.operations if o.type == "Relu"}
        self.compiled = compiled
        self.clear(classes, ends[-1])

    def clear(self, classes, total):
        self.rows, self.pending, self.labels = [], [], []
        self.seen = self.correct = 0
        infinity = float("inf")
        # Three lists, by maximum, by minus the maximum and by mean: values, photos, positions of the maximum.
        self.values = torch.full((3, total, KEPT), -infinity)
        self.photos = torch.full((3, total, KEPT), -1)
        self.places = torch.zeros((3, total, KEPT), dtype=torch.int64)
        self.means, self.squares, self.above = torch.zeros(3, total, dtype=torch.float64)
        self.class_photos = torch.zeros(classes, dtype=torch.int64)
        self.class_sums = torch.zeros(classes, total)
        self.class_maxima = torch.full((classes, total), -infinity)

    def look(self, layer, activations):
        """Computes maximum, its position, mean, mean square and share above zero for each map of a layer."""
        # Channels come last, as the network computes them.
        maps = (
            activations.permute(0, 2, 3, 1).flatten(1, 2)
            if activations.dim() == 4
            else activations.unsqueeze(1)
        )
        maxima, means, squares = maps.amax(1), maps.mean(1), (maps * maps).mean(1)
        if self.compiled:  # One loop over the maps does it all.
            above = (maps > 0).float().mean(1)
            positions = torch.arange(maps.shape[1], dtype=torch.float32).view(1, -1, 1)
            places = torch.where(maps == maxima.unsqueeze(1), positions, float("inf")).amin(1)
        else:
            # Means of signs are twice as fast as those of comparisons, and `amax` is several times as fast as `max`.
            signs = maps.sign()
            above = (signs if layer in self.rectified else signs.clamp_(min=0)).mean(1)
            own = self.channels[layer]
            least = self.values[:, None, own.start : own.stop, -1]
            photo, channel = (torch.stack([maxima, -maxima, means]) > least).any(0).nonzero(as_tuple=True)
            places = torch.zeros_like(maxima)
            places[photo, channel] = maps[photo, :, channel].argmax(1).float()
        self.rows.append((maxima, means, squares, above, places))

    def taken(self):
        """Returns what `look` recorded for one batch, over all channels."""
        rows, self.rows = self.rows, []
        return [torch.cat(kind, 1) for kind in zip(*rows)]

    def add(self, taken, labels, logits):
        self.pending.append([kind[: len(labels)] for kind in taken])
        self.labels.append(labels)
        if logits.dim() == 2:
            self.correct += (logits[: len(labels)].argmax(1) == labels).sum().item()
        if sum(map(len, self.labels)) >= BETWEEN_MERGES:
            self.merge()

    def merge(self):
        """Merges the recorded batches into lists and totals."""
        if not self.labels:
            return
        labels = torch.cat(self.labels)
        maxima, means, squares, above, places = (torch.cat(kind) for kind in zip(*self.pending))
        photos = torch.arange(self.seen, self.seen + len(labels)).expand(
            self.photos[..., :1].shape[:2] + labels.shape
        )
        behind = lambda old, new: torch.cat([old, new], 2)
        values = behind(self.values, torch.stack([maxima, -maxima, means]).transpose(1, 2))
        self.values, which = values.topk(KEPT, 2)
        self.photos = behind(self.photos, photos).gather(2, which)
        self.places = behind(self.places, places.long().T.expand(3, -1, -1)).gather(2, which)
        for total, new in ((self.means, means), (self.squares, squares), (self.above, above)):
            total += new.sum(0, dtype=torch.float64)
        self.class_photos += torch.bincount(labels, minlength=len(self.class_photos))
        self.class_sums.index_add_(0, labels, means)
        self.class_maxima.scatter_reduce_(0, labels[:, None].expand_as(maxima), maxima, "amax")
        self.seen += len(labels)
        self.pending, self.labels = [], []

    def lists(self, files):
        """Returns {layer: {channel: lists and statistics}}; equal values are in the order of the files."""
        means, squares, above = (
            (total / self.seen).tolist() for total in (self.means, self.squares, self.above)
        )
        values, photos, places = self.values.tolist(), self.photos.tolist(), self.places.tolist()

        def entries(kind, channel, width, sign=1):
            kept = zip(values[kind][channel], photos[kind][channel], places[kind][channel])
            kept = sorted((-v, photo, place) for v, photo, place in kept if photo >= 0)
            return [[files[photo][0], -sign * v, *divmod(place, width)] for v, photo, place in kept]

        def channel(i, width):
            lists = {"best": entries(0, i, width), "worst": entries(1, i, width, -1)}
            lists["best_by_mean"] = entries(2, i, width)
            variance = max(squares[i] - means[i] ** 2, 0)
            return lists | {"mean": means[i], "variance": variance, "fraction_active": above[i]}

        return {
            name: {str(i - own.start): channel(i, self.widths[name]) for i in own}
            for name, own in self.channels.items()
        }


class Step:
    """Runs the network on a batch of bytes, with or without the scan, compiled or not."""

    def __init__(self, network, scan, batch, compiled):
        self.network, self.scan, self.size, self.compiled = network, scan, batch, compiled
        self.hooks = network.watch(scan.look) if scan else []
        self.run = torch.compile(self._run) if compiled else self._run

    def _run(self, pixels):
        logits = self.network(pixels)
        return logits, self.scan.taken() if self.scan else None

    def __call__(self, pixels, labels):
        if self.size > len(pixels):  # One size of batch, so that nothing is compiled twice.
            pixels = torch.cat([pixels, pixels.new_zeros(self.size - len(pixels), *pixels.shape[1:])])
        elif self.compiled:
            # Compiled padding (PyTorch 2.15) reads beyond its input: a crash at the end of shared memory.
            pixels = pixels.clone()
        logits, taken = self.run(pixels)
        if self.scan:
            self.scan.add(taken, labels, logits)

    def close(self):
        for hook in self.hooks:
            hook.remove()


def keep_memory():
    """Keeps freed memory in the process, as the allocators of PyTorch's tuning guide do.

    Without it a fifth of the core-seconds goes into fetching pages anew.
    """
    trim_threshold, mmap_threshold = -1, -3
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, (1 << 31) - 1)


def timed(photos, work):
    """Runs `work`; returns its time, and CPU time including a loader's workers, which end before `work` does."""
    cores, start = sum(os.times()[:4]), time.perf_counter()
    work()
    seconds, cores = time.perf_counter() - start, sum(os.times()[:4]) - cores
    return {
        "photos": photos,
        "seconds": seconds,
        "photos_per_second": photos / seconds,
        "core_seconds_per_photo": cores / photos,
    }


def measured(o, network, photos):
    """Times the three parts (decoding, network, scan); returns the times and the scan."""
    loader = photos.loader(o.batch, o.workers)
    in_memory = [b for _, b in zip(range(-(-IN_MEMORY // o.batch)), photos.loader(o.batch, 0))]
    few = in_memory[:2]

    def over(step, batches):
        for pixels, labels in batches:
            step(pixels, labels)

    parts = {"decoding": timed(len(photos), lambda: [None for _ in loader])}
    forward = Step(network, None, o.batch, o.compile)
    start = time.perf_counter()
    over(forward, few)
    held = sum(len(labels) for _, labels in in_memory)
    parts["network"] = timed(held, lambda: over(forward, in_memory))
    scan = Scan(network, len(photos.classes), o.compile)
    step = Step(network, scan, o.batch, o.compile)
    over(step, few)
    warming = time.perf_counter() - start - parts["network"]["seconds"]
    scan.clear(*scan.class_maxima.shape)

    def everything():
        over(step, loader)
        scan.merge()

    parts["scan"] = timed(len(photos), everything)
    step.close()
    classes = network.shapes[network.output]
    result = {
        "threads": o.threads,
        "workers": o.workers,
        "batch": o.batch,
        "compiled": o.compile,
        "compiling_and_warming_seconds": warming,
        "layers": len(scan.channels),
        "channels": scan.values.shape[1],
        "accuracy": scan.correct / scan.seen if classes == [len(photos.classes)] else None,
        "parts": parts,
    }
    return result, scan


def check(model, network):
    """Compares all layers with onnxruntime on random bytes; returns whether they agree."""
    import onnxruntime

    pixels = torch.randint(256, (3, *network.size, 3), dtype=torch.uint8, generator=torch.manual_seed(0))
    found = {}
    network.watch(lambda layer, activations: found.update({layer: activations.clone()}))
    network(pixels)
    graph = onnx.load(model)
    own = {output.name for output in graph.graph.output}
    graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in network.layers if name not in own)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {network.input: network.prepared(pixels).contiguous().numpy()}
    worst = 0.0
    for name, expected in zip(network.layers, session.run(network.layers, inputs)):
        difference = np.abs(found[name].numpy() - expected).max() / np.abs(expected).max()
        worst = max(worst, float(difference))
        print(f"{name:60} {str(expected.shape):20} {difference:.1e}")
    print(f"largest difference, relative to the largest activation of the layer: {worst:.1e}")
    return worst <= TOLERANCE


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="MODEL.onnx, with its card MODEL.toml beside it")
    parser.add_argument("folder", nargs="?", help="a folder of folders of photos, one for each class")
    parser.add_argument("--workers", type=int, default=1, help="processes that decode; 0: the main one does")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch's operators")
    parser.add_argument("--resize", type=int, default=SHORTER_SIDE, help="shorter side before the crop (256)")
    parser.add_argument(
        "--layers", help="comma-separated outputs of nodes or names of the card; default: all"
    )
    parser.add_argument(
        "--compile", action="store_true", help="use torch.compile, which first takes half a minute"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", metavar="FILE.json", help="where to write the lists")
    parser.add_argument(
        "--check", action="store_true", help="compare the layers with onnxruntime, and scan nothing"
    )
    o = parser.parse_args()
    if not o.folder and not o.check:
        parser.error("FOLDER is missing")
    torch.set_num_threads(o.threads)
    keep_memory()
    network = Network(o.model, o.layers and o.layers.split(","))
    with torch.inference_mode():
        if o.check:
            sys.exit(not check(o.model, network))
        photos = Photos(o.folder, network.size, o.resize)
        result, scan = measured(o, network, photos)
    if o.out:
        Path(o.out).write_text(json.dumps(scan.lists(photos.files)))
    if o.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{result['layers']} layers, {result['channels']} channels, {len(photos.classes)} classes")
    for name, part in result["parts"].items():
        print(
            f"{name:10} {part['photos']:6} photos {part['seconds']:8.2f} s "
            f"{part['photos_per_second']:8.1f} photos/s "
            f"{1e3 * part['core_seconds_per_photo']:8.2f} core-ms a photo"
        )
    if result["accuracy"] is not None:
        print(f"accuracy {100 * result['accuracy']:.1f} %")
    print(f"compiling and warming up took {result['compiling_and_warming_seconds']:.1f} s")


if __name__ == "__main__":
    main()
