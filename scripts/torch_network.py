"""Runs an ONNX file in PyTorch and prepares pictures by its model card; the comparison scripts share this module.

Only the operators of plain convolutional networks are known (`OPERATORS`); the order of the file is the order of the run.
Nothing of oneiro is used, so that whoever compares with it compares with PyTorch alone.
"""

import tomllib
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch.nn import functional as F


def _pads(attributes):
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    return left, right, top, bottom


def _convolution(attributes, x, weight, bias=None):
    return F.conv2d(F.pad(x, _pads(attributes)), weight, bias, attributes.get("strides", 1), 0,
                    attributes.get("dilations", 1), attributes.get("group", 1))


def _max_pool(attributes, x):
    assert not attributes.get("ceil_mode", 0) and set(attributes.get("dilations", [1])) == {1}
    x = F.pad(x, _pads(attributes), value=float("-inf"))
    return F.max_pool2d(x, attributes["kernel_shape"], attributes.get("strides", 1))


OPERATORS = {
    "Cast": lambda attributes, x: x,
    "Concat": lambda attributes, *x: torch.cat(x, attributes["axis"]),
    "Conv": _convolution,
    "Flatten": lambda attributes, x: x.flatten(attributes.get("axis", 1)),
    "GlobalAveragePool": lambda attributes, x: x.mean((2, 3), keepdim=True),
    "MaxPool": _max_pool,
    "Relu": lambda attributes, x: F.relu(x),
}


class Network:
    """A network with one image input, prepared by the card beside it (or the file `card`)."""

    def __init__(self, path, card=None, dtype=torch.float64, device="cpu"):
        graph = onnx.load(str(path)).graph
        (self.input,) = [i.name for i in graph.input]
        tensor = lambda t: torch.from_numpy(numpy_helper.to_array(t).copy()).to(device, dtype)
        self.weights = {t.name: tensor(t) for t in graph.initializer}
        attributes = lambda n: {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute}
        self.nodes = [(OPERATORS[n.op_type], attributes(n), list(n.input), n.output[0]) for n in graph.node]
        card = tomllib.loads(Path(card or Path(path).with_suffix(".toml")).read_text())
        names = {output.removesuffix("_output_0").strip("/").split("/")[0]: output for *_, output in self.nodes}
        self.names = names | card.get("layers", {})
        picture = card["input"][0]
        self.range, self.order = picture["range"], [picture["order"].index(color) for color in "rgb"]
        column = lambda key: torch.tensor(picture[key], dtype=dtype, device=device).view(1, 3, 1, 1)
        self.mean, self.std = column("mean"), column("std")

    def prepared(self, image):
        """Returns the network's input for RGB pictures in 0-1, [N, 3, H, W]."""
        planes = [image[:, self.order.index(channel)] for channel in range(3)]
        return (torch.stack(planes, 1) * self.range - self.mean) / self.std

    def mean_color(self):
        """Returns the RGB colour in 0-1 that the network sees as zero, [1, 3, 1, 1]."""
        return self.mean[:, self.order] / self.range

    def layer(self, name, x):
        """Returns the activations of a layer for a prepared input; layers after it are not computed."""
        wanted = self.names.get(name, name)
        values = {**self.weights, self.input: x}
        for operator, attributes, inputs, output in self.nodes:
            values[output] = operator(attributes, *(values[i] for i in inputs))
            if output == wanted:
                return values[output]
        raise KeyError(f"there is no layer {name}; there are {', '.join(self.names)}")
