"""Makes the reference networks and numbers of `tests/against_pytorch.rs`: run `python make.py`.

Needs `torch`, `onnx`, `onnxscript`, `safetensors` and `numpy` (made with PyTorch 2.15, ONNX 1.23). Writes into its
own folder, for every network and both of PyTorch's exporters,

    NETWORK.legacy.onnx, NETWORK.dynamo.onnx       random weights, calibrated so that activations are of order one
    NETWORK.EXPORTER.golden.safetensors            what PyTorch computes in float64, stored as float32:
        input/NAME, act/LAYER, value/ID, grad/ID/INPUT; metadata `objectives` = {ID: expression} as JSON

A second run gives the same bytes; `python make.py tfsame clip3d` makes only these networks.

A LAYER is the exact name of a tensor of the ONNX file. It is found by running the file with ONNX's own reference
evaluator and looking for the tensor that equals what the PyTorch module returned, so this also checks the exporter.

Inputs are drawn until nothing lies on a kink: no ReLU input near zero, no two maxima of a pooling window near each
other. There a gradient is a matter of rounding, and the comparison would be one of luck.
"""

import io
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx.reference import ReferenceEvaluator
from safetensors.numpy import save
from torch import nn

HERE = Path(__file__).parent
OPSETS = {"legacy": 17, "dynamo": 20}
MARGIN = 2e-5  # distance from a kink; float32 errs by about 1e-6 where activations are of order one
MAX_ONNX_BYTES = 60_000
MAX_TOTAL_BYTES = 500_000


# For each network: the shapes of its inputs (without the batch); the modules whose results are stored; the modules that
# the newer exporter folds into the next one (a convolution before a normalisation); and objectives on modules.


class Plain2d(nn.Module):
    """A network with the parts of classification networks: residual and depthwise layers, every kind of pooling,
    softmax."""

    inputs = {"x": (3, 15, 13)}
    acts = ["conv1", "bn1", "depthwise", "sum", "pool", "average_padded", "average_inside", "conv3", "linear", "prob"]
    folded = {"conv1"}
    objectives = {
        "before_relu": "channel(bn1,3)",
        "dream": "layer(pool)",
        "one": "neuron(conv3,7,1,1)",
        "class": "channel(prob,4)",
    }

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(6, 10, 3, stride=2, padding=1)
        self.relu6 = nn.ReLU6()
        self.depthwise = nn.Conv2d(10, 10, 3, stride=2, padding=2, dilation=2, groups=10)
        self.grouped = nn.Conv2d(10, 12, 1, groups=2)
        self.shortcut = nn.Conv2d(10, 12, 1, stride=2)
        self.sum = nn.Identity()
        self.relu2 = nn.ReLU()
        self.pool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.average_padded = nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=True)
        self.average_inside = nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)
        self.conv3 = nn.Conv2d(36, 14, (1, 3), padding=(0, 1))
        self.relu3 = nn.ReLU()
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(14, 9)
        self.prob = nn.Softmax(dim=1)

    def forward(self, x):
        x = self.relu6(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        x = self.relu2(self.sum(self.grouped(self.depthwise(x)) + self.shortcut(x)))
        x = torch.cat([self.pool(x), self.average_padded(x), self.average_inside(x)], 1)
        x = self.global_pool(self.relu3(self.conv3(x)))
        return self.prob(self.linear(torch.flatten(x, 1)))


class Clip3d(nn.Module):
    """Space-time convolutions, whole and factored, as in C3D and (2+1)-D networks."""

    inputs = {"clip": (3, 5, 7, 8)}
    acts = ["pool1", "spatial", "temporal", "pool2", "logits"]
    objectives = {
        "motion": "channel(temporal,2)",
        "dream": "layer(pool1)",
        "one": "neuron(spatial,3,1,2,0)",
        "class": "channel(logits,5)",
    }

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv3d(3, 5, 3, padding=1)
        self.bn1 = nn.BatchNorm3d(5)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        self.spatial = nn.Conv3d(5, 8, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.temporal = nn.Conv3d(8, 8, (3, 1, 1), padding=(2, 0, 0), dilation=(2, 1, 1))
        self.relu2 = nn.ReLU()
        self.pool2 = nn.AvgPool3d((1, 2, 2))
        self.pool3 = nn.MaxPool3d(2, stride=(2, 1, 1))
        self.logits = nn.Linear(8, 7)

    def forward(self, clip):
        x = self.pool1(self.relu1(self.bn1(self.conv1(clip))))
        x = self.pool2(self.relu2(self.temporal(self.spatial(x))))
        return self.logits(self.pool3(x).mean((2, 3, 4)))


class Squeeze(nn.Module):
    """Squeeze and excitation: channels are scaled by factors computed from the whole picture."""

    def __init__(self, channels, hidden):
        super().__init__()
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.silu = nn.SiLU()
        self.expand = nn.Conv2d(hidden, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x):
        return x * self.sigmoid(self.expand(self.silu(self.reduce(x.mean((2, 3), keepdim=True)))))


class TwoStream(nn.Module):
    """A network with two inputs, joined by concatenation and by multiplication, with smooth activation functions."""

    inputs = {"rgb": (4, 8, 7), "flow": (6, 8, 7)}
    acts = ["rgb_act", "flow_act", "gate", "product", "fused", "mix.squeeze", "gelu", "logits"]
    objectives = {
        "joint": "channel(gelu,5)",
        "rgb_alone": "channel(rgb_act,1)",
        "dream": "layer(mix.squeeze)",
        "one": "neuron(fused,9,3,2)",
        "class": "channel(logits,2)",
    }

    def __init__(self):
        super().__init__()
        self.rgb_conv = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.rgb_act = nn.Hardswish()
        self.flow_conv = nn.Conv2d(6, 6, 3, stride=2, padding=1)
        self.flow_act = nn.LeakyReLU(0.1)
        self.gate_conv = nn.Conv2d(6, 6, 1)
        self.gate = nn.Hardsigmoid()
        self.product = nn.Identity()
        self.fused = nn.Identity()
        self.mix = nn.ModuleDict({"conv": nn.Conv2d(12, 12, 3, padding=1), "squeeze": Squeeze(12, 4)})
        self.conv = nn.Conv2d(12, 8, 1)
        self.gelu = nn.GELU()
        self.logits = nn.Linear(8, 6)

    def forward(self, rgb, flow):
        rgb = self.rgb_act(self.rgb_conv(rgb))
        flow = self.flow_act(self.flow_conv(flow))
        product = self.product(rgb * self.gate(self.gate_conv(flow)))
        fused = self.fused(torch.cat([product, flow], 1))
        x = self.gelu(self.conv(self.mix["squeeze"](self.mix["conv"](fused))))
        return self.logits(x.mean((2, 3)))


class SameConv2d(nn.Conv2d):
    """Padding like TensorFlow's SAME, computed from the input's size at run time."""

    def forward(self, x):
        (h, w), (kh, kw), (sh, sw), (dh, dw) = x.shape[-2:], self.kernel_size, self.stride, self.dilation
        down, right = same_padding(h, kh, sh, dh), same_padding(w, kw, sw, dw)
        x = F.pad(x, [right // 2, right - right // 2, down // 2, down - down // 2])
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def same_padding(size, kernel, stride, dilation):
    """Adds zero padding before and after together; `size` is a tensor, an integer or a symbol, as the exporter has
    it."""
    if isinstance(size, torch.Tensor):
        padding = (torch.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size
        return padding.clamp(min=0).to(torch.int64)
    return torch.sym_max(((size + stride - 1) // stride - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)


class TfSame(nn.Module):
    """SAME padding computed in the graph; batch, height and width are free, and differ between export and test."""

    inputs = {"x": (3, 11, 14)}
    export_at = (3, 16, 16)
    acts = ["stem", "bn", "depthwise", "project", "sum", "logits"]
    folded = {"stem"}
    objectives = {
        "project": "channel(project,3)",
        "dream": "layer(sum)",
        "one": "neuron(depthwise,6,2,3)",
        "class": "channel(logits,1)",
    }

    def __init__(self):
        super().__init__()
        self.stem = SameConv2d(3, 6, 3, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(6)
        self.relu1 = nn.ReLU6()
        self.expand = nn.Conv2d(6, 12, 1)
        self.relu2 = nn.ReLU6()
        self.depthwise = SameConv2d(12, 12, 5, stride=2, groups=12)
        self.relu3 = nn.ReLU6()
        self.project = nn.Conv2d(12, 8, 1)
        self.dilated = SameConv2d(8, 8, 3, dilation=2)
        self.sum = nn.Identity()
        self.relu4 = nn.ReLU()
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.logits = nn.Linear(8, 5)

    def forward(self, x):
        x = self.relu2(self.expand(self.relu1(self.bn(self.stem(x)))))
        x = self.project(self.relu3(self.depthwise(x)))
        x = self.relu4(self.sum(x + self.dilated(x)))
        return self.logits(self.global_pool(x).squeeze(-1).squeeze(-1))


class Signal1d(nn.Module):
    """A network with one spatial axis."""

    inputs = {"signal": (4, 37)}
    acts = ["conv1", "bn1", "pool1", "conv2", "pool2", "logits"]
    folded = {"conv1"}
    objectives = {
        "before_relu": "channel(bn1,2)",
        "dream": "layer(conv2)",
        "one": "neuron(pool2,7,3)",
        "class": "channel(logits,3)",
    }

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(4, 8, 5, padding=2)
        self.bn1 = nn.BatchNorm1d(8)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool1d(3, stride=2, padding=1)
        self.conv2 = nn.Conv1d(8, 12, 3, padding=3, dilation=3, groups=2)
        self.elu = nn.ELU()
        self.pool2 = nn.AvgPool1d(3, stride=2, padding=1)
        self.logits = nn.Linear(12, 5)

    def forward(self, signal):
        x = self.pool1(self.relu1(self.bn1(self.conv1(signal))))
        return self.logits(self.pool2(self.elu(self.conv2(x))).mean(-1))


NETWORKS = {"plain2d": Plain2d, "clip3d": Clip3d, "two_stream": TwoStream, "tfsame": TfSame, "signal1d": Signal1d}


def draw(net, seed, batch):
    """Returns a random array for each input, rounded to float32 as in the file."""
    random = torch.Generator().manual_seed(seed)
    return [torch.randn((batch, *shape), generator=random) for shape in net.inputs.values()]


@torch.no_grad()
def calibrate(net):
    """Scales every layer's weights so that its output has unit variance, and makes the normalisations uneven."""

    def scale(module, x, y):
        over = [axis for axis in range(y.ndim) if axis != 1]
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.copy_(y.mean(over) + 0.2 * torch.randn(y.shape[1]))
            module.running_var.copy_(y.var(over) * (0.7 + 0.6 * torch.rand(y.shape[1])))
            module.weight.copy_(0.7 + 0.6 * torch.rand(y.shape[1]))
            module.bias.copy_(0.3 * torch.randn(y.shape[1]))
        else:
            module.weight.div_(y.std())
            if module.bias is not None:
                module.bias.copy_(0.3 * torch.randn(module.bias.shape))
        return module.forward(*x)

    net.eval()
    hooks = [m.register_forward_hook(scale) for m in net.modules() if hasattr(m, "weight")]
    net(*draw(net, 1, 16))
    for hook in hooks:
        hook.remove()


def distance_to_kinks(net, inputs):
    """Returns the smallest distance of an activation from a kink of its function, or from a change of a maximum."""
    found = []

    def from_points(*points):
        return lambda _, x, __: found.extend((x[0] - p).abs().min().item() for p in points)

    def from_runner_up(module, x, y):
        axes = x[0].ndim - 2
        each = lambda v: (v,) * axes if isinstance(v, int) else v
        size, step, pad = each(module.kernel_size), each(module.stride), each(module.padding)
        after = [(n - 1) * s + k - p - d for n, s, k, p, d in zip(y.shape[2:], step, size, pad, x[0].shape[2:])]
        edges = [e for p, a in zip(reversed(pad), reversed(after)) for e in (p, max(a, 0))]
        windows = F.pad(x[0], edges, value=-torch.inf)
        for axis, (k, s) in enumerate(zip(size, step)):
            windows = windows.unfold(axis + 2, k, s)
        best = windows.flatten(axes + 2).topk(2).values
        gap = best[..., 0] - best[..., 1]
        # A clamp passes no gradient beyond its limits, so equal values there are harmless.
        found.append(gap[(best[..., 0] != 0) & (best[..., 0] != 6)].min().item())

    kinks = [
        ((nn.ReLU, nn.LeakyReLU, nn.ELU), from_points(0)),
        (nn.ReLU6, from_points(0, 6)),
        ((nn.Hardswish, nn.Hardsigmoid), from_points(-3, 3)),
        ((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), from_runner_up),
    ]
    hooks = [m.register_forward_hook(f) for m in net.modules() for kind, f in kinks if type(m) in np.atleast_1d(kind)]
    with torch.no_grad():
        net(*inputs)
    for hook in hooks:
        hook.remove()
    return min(found, default=np.inf)


def activations(net, inputs, grad=False):
    """Returns the result of every module by its name."""
    kept = {}
    hooks = [m.register_forward_hook(lambda _, __, y, n=n: kept.__setitem__(n, y)) for n, m in net.named_modules()]
    with torch.set_grad_enabled(grad):
        net(*inputs)
    for hook in hooks:
        hook.remove()
    return kept


def objective(expression, acts):
    """Returns the value of `channel(L,c)`, `layer(L)` or `neuron(L,c,position)`, averaged over the batch."""
    kind, arguments = expression.rstrip(")").split("(")
    layer, *index = arguments.split(",")
    index = [int(i) for i in index]
    y = acts[layer]
    if kind == "layer":
        return (y**2).mean()
    assert len(index) == (1 if kind == "channel" else y.ndim - 1), expression
    return y[(slice(None), *index)].mean()


def export(net, exporter):
    """Exports the ONNX model without notes on the machine on which it was made."""
    shapes = {name: getattr(net, "export_at", shape) for name, shape in net.inputs.items()}
    args = tuple(torch.zeros(2, *shape) for shape in shapes.values())
    names = {"input_names": list(shapes), "output_names": ["output"], "opset_version": OPSETS[exporter]}
    axes = {0: "n", 2: "h", 3: "w"} if hasattr(net, "export_at") else {0: "n"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if exporter == "legacy":
            file = io.BytesIO()
            # PRESERVE keeps the normalisations; EVAL would fold them into the convolutions before them.
            keep = torch.onnx.TrainingMode.PRESERVE
            dynamic = {"output": {0: "n"}} | {name: axes for name in shapes}
            torch.onnx.export(net, args, file, dynamo=False, training=keep, dynamic_axes=dynamic, **names)
            model = onnx.load_from_string(file.getvalue())
        else:
            dynamic = tuple({i: torch.export.Dim.DYNAMIC for i in axes} for _ in shapes)
            program = torch.onnx.export(net, args, dynamo=True, dynamic_shapes=dynamic, verbose=False, **names)
            model = program.model_proto
    for node in model.graph.node:
        scopes = [p for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"]
        del node.metadata_props[:]
        node.metadata_props.extend(scopes)
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    onnx.checker.check_model(model)
    return model


def tensor_names(model, feeds, wanted):
    """Returns the name of the graph's first tensor that equals each of the wanted arrays."""
    computed = ReferenceEvaluator(model).run(None, feeds, intermediate=True)
    names = {}
    for layer, y in wanted.items():
        errors = {n: relative(v, y) for n, v in computed.items() if n and getattr(v, "shape", None) == y.shape}
        names[layer] = next((name for name, error in errors.items() if error < 1e-5), None)
        if names[layer] is None:
            raise SystemExit(f"no tensor of the graph equals {layer}; those of its shape differ by {errors}")
    return names


def relative(ours, theirs):
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def make(network):
    """Writes all files of one network; yields their paths."""
    torch.manual_seed(list(NETWORKS).index(network))
    net = NETWORKS[network]()
    calibrate(net)
    models = {exporter: export(net, exporter) for exporter in OPSETS}
    net.double()
    candidates = ([x.double() for x in draw(net, seed, 2)] for seed in range(100, 1100))
    inputs = next(x for x in candidates if distance_to_kinks(net, x) > MARGIN)
    for x in inputs:
        x.requires_grad_()
    acts = activations(net, inputs, grad=True)
    spread = {layer: acts[layer].std().item() for layer in net.acts}
    print(network, "standard deviations:", {k: round(v, 2) for k, v in spread.items()})

    for exporter, model in models.items():
        feeds = {name: x.detach().float().numpy() for name, x in zip(net.inputs, inputs)}
        gone = getattr(net, "folded", set()) if exporter == "dynamo" else set()
        wanted = {layer: acts[layer].detach().numpy() for layer in net.acts if layer not in gone}
        names = tensor_names(model, feeds, wanted)
        golden = {f"input/{name}": x for name, x in feeds.items()}
        golden |= {f"act/{names[layer]}": y for layer, y in wanted.items()}
        expressions = {}
        for id, expression in net.objectives.items():
            value = objective(expression, acts)
            gradients = torch.autograd.grad(value, inputs, retain_graph=True, materialize_grads=True)
            golden[f"value/{id}"] = value.detach().numpy().reshape(1)
            golden |= {f"grad/{id}/{name}": g.numpy() for name, g in zip(net.inputs, gradients)}
            layer = expression.split("(")[1].split(",")[0].rstrip(")")
            expressions[id] = expression.replace(layer, f'"{names[layer]}"', 1)
        golden = {key: np.ascontiguousarray(a, dtype=np.float32) for key, a in golden.items()}
        path = HERE / f"{network}.{exporter}.onnx"
        onnx.save(model, path)
        assert path.stat().st_size < MAX_ONNX_BYTES, f"{path} has {path.stat().st_size} bytes"
        yield path
        path = HERE / f"{network}.{exporter}.golden.safetensors"
        path.write_bytes(save(golden, {"objectives": json.dumps(expressions)}))
        yield path


def main():
    for network in sys.argv[1:] or NETWORKS:
        for path in make(network):
            print(f"  {path.stat().st_size:7} {path.name}")
    total = sum(p.stat().st_size for kind in ("onnx", "safetensors") for p in HERE.glob(f"*.{kind}"))
    print(f"{total} bytes in all")
    assert total < MAX_TOTAL_BYTES


if __name__ == "__main__":
    main()
