"""Compares the maps of `oneiro attribute` with those of the same methods in plain PyTorch, on the same images.

    python scripts/compare_attribution_with_pytorch.py MODEL.onnx CARD.toml IMAGE... --oneiro target/release/oneiro

Needs `torch`, `onnx`, `numpy`, `safetensors` and a build of `oneiro`. The network is run from the ONNX file by the few
operators that SqueezeNet has, in float64; the images are taken from `--raw`, so that scaling is no part of it. Methods
with noise are left out (their random numbers differ by design). A gradient of a deep network in float32 differs from that
in float64 wherever a unit or a maximum is within rounding of another; a correlation of 1 with a small relative error is
what agreement looks like.
"""

import argparse
import json
import subprocess
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from safetensors import safe_open

METHODS = ["gradient", "gradient-x-input", "integrated-gradients", "grad-cam", "occlusion", "guided", "deconv"]
STEPS = 50
WINDOW, STRIDE = 30, 15


class GuidedRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g.clamp(min=0) * (x > 0)


class DeconvRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        return g.clamp(min=0)


class Network:
    """Runs an ONNX graph of SqueezeNet's operators on display images, with a replaceable function for ReLUs."""

    def __init__(self, model, card):
        graph = onnx.load(model).graph
        self.nodes = graph.node
        self.weights = {i.name: torch.tensor(numpy_helper.to_array(i)).double() for i in graph.initializer}
        self.input = [i.name for i in graph.input if i.name not in self.weights][0]
        self.output = graph.output[0].name
        entry = tomllib.loads(Path(card).read_text())["input"][0]
        assert entry["order"] in ("rgb", "bgr")
        self.flip = entry["order"] == "bgr"
        self.range = entry["range"]
        self.mean, self.std = (torch.tensor(entry[k]).double().view(1, -1, 1, 1) for k in ("mean", "std"))

    def zero_color(self):
        """Returns the display colour that the network sees as zero."""
        mean = self.mean.flip(1) if self.flip else self.mean
        return mean / self.range

    def run(self, display, relu=F.relu, keep=None):
        x = display.flip(1) if self.flip else display
        values = dict(self.weights)
        values[self.input] = (x * self.range - self.mean) / self.std
        for node in self.nodes:
            a = {i.name: list(i.ints) or i.i for i in node.attribute}
            v = [values[i] for i in node.input]
            match node.op_type:
                case "Conv":
                    assert a["pads"][:2] == a["pads"][2:]
                    y = F.conv2d(*v, stride=a["strides"], padding=a["pads"][:2], groups=a["group"])
                case "Relu":
                    y = relu(v[0])
                case "MaxPool":
                    assert not any(a["pads"])
                    y = F.max_pool2d(v[0], a["kernel_shape"], a["strides"], ceil_mode=bool(a["ceil_mode"]))
                case "Concat":
                    y = torch.cat(v, a["axis"])
                case "GlobalAveragePool":
                    y = v[0].mean((2, 3), keepdim=True)
                case "Flatten":
                    y = v[0].flatten(1)
                case other:
                    raise SystemExit(f"{other} is not among the operators that this script knows")
            values[node.output[0]] = y
        return (values[self.output], values[keep]) if keep else values[self.output]


def gradient(net, x, unit, relu=F.relu):
    x = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(net.run(x, relu)[:, unit].sum(), x)
    return g


def reference(net, x, unit, method):
    """Returns an attribution's values in the form in which `--raw` writes them."""
    if method in ("gradient", "guided", "deconv"):
        relu = {"gradient": F.relu, "guided": GuidedRelu.apply, "deconv": DeconvRelu.apply}[method]
        return gradient(net, x, unit, relu)[0]
    if method == "gradient-x-input":
        return (x * gradient(net, x, unit))[0]
    if method == "integrated-gradients":
        total = sum(gradient(net, x * ((k + 0.5) / STEPS), unit) for k in range(STEPS))
        return (x * total / STEPS)[0]
    if method == "grad-cam":
        last = [n.output[0] for n in net.nodes if n.op_type == "Relu"][-1]
        logits, maps = net.run(x.clone().requires_grad_(), keep=last)
        (g,) = torch.autograd.grad(logits[0, unit], maps)
        cam = (g.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True)
        return F.interpolate(cam.detach(), size=x.shape[2:], mode="bilinear", align_corners=False)[0]
    whole = net.run(x)[0, unit]
    h, w = x.shape[2:]
    falls, counts = torch.zeros(h, w).double(), torch.zeros(h, w).double()
    tops, lefts = ([i * STRIDE for i in range(-(-(n - WINDOW) // STRIDE) + 1)] for n in (h, w))
    with torch.no_grad():
        for top in tops:
            batch = x.repeat(len(lefts), 1, 1, 1)
            for image, left in zip(batch, lefts):
                image[:, top : top + WINDOW, left : left + WINDOW] = net.zero_color()[0]
            for value, left in zip(net.run(batch)[:, unit], lefts):
                falls[top : top + WINDOW, left : left + WINDOW] += whole - value
                counts[top : top + WINDOW, left : left + WINDOW] += 1
    return (falls / counts)[None]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("card")
    parser.add_argument("images", nargs="+")
    parser.add_argument("--oneiro", default="target/release/oneiro")
    args = parser.parse_args()
    net = Network(args.model, args.card)
    with tempfile.TemporaryDirectory() as folder:
        raw, sheet = Path(folder) / "a.safetensors", Path(folder) / "a.png"
        command = [args.oneiro, "--no-config", "attribute", args.model, *args.images, "--card", args.card]
        command += ["--method", ",".join(METHODS), "--steps", str(STEPS), "--window", str(WINDOW)]
        command += ["--stride", str(STRIDE), "--out", sheet, "--raw", raw, "--json"]
        said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        with safe_open(raw, "np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    print(f"{'image':28} {'method':22} {'correlation':>12} {'relative error':>15}")
    for i, row in enumerate(said["images"]):
        x = torch.tensor(tensors[f"{i}/image"]).double()[None]
        unit = int(row["objective"].removeprefix("logit(").removesuffix(")"))
        for method in METHODS:
            ours = tensors[f"{i}/{method}/values"].astype(np.float64)
            theirs = reference(net, x, unit, method).detach().numpy()
            error = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
            correlation = np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]
            print(f"{Path(row['file']).stem:28} {method:22} {correlation:12.8f} {error:15.2e}", flush=True)


if __name__ == "__main__":
    main()
