"""The networks of `make_health_networks.py`: small, 64×64 RGB in, one logit a class out.

Each says in `units` which of its convolutions are judged as filters: (convolution, batch normalization, activation) by module
name. A filter's pre-activation is the input of its activation module. `HALF` says where the networks of `--kind fooled` are cut.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

ACTIVATIONS = {"relu": nn.ReLU, "leaky": lambda: nn.LeakyReLU(0.1), "silu": nn.SiLU}


class Chain(nn.Sequential):
    """Convolutions in a row: widths, strides and kernel sizes; a 2×2 max-pool behind the numbers in `pools`."""

    def __init__(self, widths, strides, pools, activation="relu", kernels=None, classes=4):
        layers, units, before = OrderedDict(), [], 3
        for i, (width, stride) in enumerate(zip(widths, strides), 1):
            kernel = kernels[i - 1] if kernels else 3
            layers[f"conv{i}"] = nn.Conv2d(before, width, kernel, stride, kernel // 2)
            layers[f"bn{i}"] = nn.BatchNorm2d(width)
            layers[f"relu{i}" if activation == "relu" else f"act{i}"] = ACTIVATIONS[activation]()
            units.append((f"conv{i}", f"bn{i}", f"relu{i}" if activation == "relu" else f"act{i}"))
            if i in pools:
                layers[f"pool{i}"] = nn.MaxPool2d(2)
            before = width
        layers["gap"], layers["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        layers["fc"] = nn.Linear(before, classes)
        super().__init__(layers)
        self.units = units


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al., CVPR 2016)."""

    def __init__(self, before, width):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = nn.Conv2d(before, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU()
        self.conv2, self.bn2, self.relu2 = nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU()
        self.short, self.bns = nn.Conv2d(before, width, 1), nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.pool(self.relu2(y + self.bns(self.short(x))))


class Residual(nn.Module):
    """A stem and three blocks. Planted are the stem and the first convolution of each block."""

    def __init__(self, widths=(24, 32, 48, 64), classes=4):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = nn.Conv2d(3, widths[0], 3, 2, 1), nn.BatchNorm2d(widths[0]), nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.blocks = nn.Sequential(*[Block(a, b) for a, b in zip(widths, widths[1:])])
        self.gap, self.flatten, self.fc = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes)
        self.units = [("conv1", "bn1", "relu1")]
        self.units += [tuple(f"blocks.{i}.{part}1" for part in ("conv", "bn", "relu")) for i in range(3)]
        self.others = [(f"blocks.{i}.{c}", f"blocks.{i}.{b}") for i in range(3) for c, b in (("conv2", "bn2"), ("short", "bns"))]

    def forward(self, x):
        return self.fc(self.flatten(self.gap(self.blocks(self.pool1(self.relu1(self.bn1(self.conv1(x))))))))


class Separable(nn.Sequential):
    """A dense stem, then depthwise 3×3 and pointwise 1×1 convolutions in turn (Howard et al. 2017)."""

    def __init__(self, widths=(32, 48, 64, 96), classes=4):
        layers = OrderedDict(conv1=nn.Conv2d(3, widths[0], 3, 2, 1), bn1=nn.BatchNorm2d(widths[0]), relu1=nn.ReLU())
        units = [("conv1", "bn1", "relu1")]
        layers["pool1"] = nn.MaxPool2d(2)
        for i, (a, b) in enumerate(zip(widths, widths[1:]), 2):
            parts = {"dw": nn.Conv2d(a, a, 3, 1, 1, groups=a), "pw": nn.Conv2d(a, b, 1)}
            for kind, conv in parts.items():
                layers[f"{kind}{i}"], layers[f"{kind}bn{i}"] = conv, nn.BatchNorm2d(conv.out_channels)
                layers[f"{kind}relu{i}"] = nn.ReLU()
                units.append((f"{kind}{i}", f"{kind}bn{i}", f"{kind}relu{i}"))
            if i < 4:
                layers[f"pool{i}"] = nn.MaxPool2d(2)
        layers.update(conv5=nn.Conv2d(widths[-1], 64, 3, 1, 1), bn5=nn.BatchNorm2d(64), relu5=nn.ReLU())
        units.append(("conv5", "bn5", "relu5"))
        layers.update(gap=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(64, classes))
        super().__init__(layers)
        self.units = units


class Clips(nn.Sequential):
    """3-D convolutions over clips [N,3,16,64,64], as c3d_small has them."""

    def __init__(self, widths=(12, 24, 32, 48), classes=4):
        layers, before, units = OrderedDict(), 3, []
        for i, width in enumerate(widths, 1):
            stride = 2 if i == 1 else 1
            layers[f"conv{i}"] = nn.Conv3d(before, width, 3, stride, 1)
            layers[f"bn{i}"], layers[f"relu{i}"] = nn.BatchNorm3d(width), nn.ReLU()
            if i < len(widths):
                layers[f"pool{i}"] = nn.MaxPool3d((1, 2, 2) if i == 1 else 2)
            units.append((f"conv{i}", f"bn{i}", f"relu{i}"))
            before = width
        layers.update(gap=nn.AdaptiveAvgPool3d(1), flatten=nn.Flatten(), fc=nn.Linear(before, classes))
        super().__init__(layers)
        self.units = units


ARCHITECTURES = {
    "plain": lambda: Chain((24, 32, 40, 48, 56, 64), (2, 1, 1, 1, 1, 1), (1, 2, 4)),
    "slim": lambda: Chain((16, 24, 32, 32, 48, 48), (2, 1, 1, 1, 1, 1), (1, 2, 4)),
    "leaky": lambda: Chain((24, 32, 40, 48, 64), (2, 1, 1, 1, 1), (1, 2, 3), "leaky"),
    "silu": lambda: Chain((24, 32, 40, 48, 64), (2, 1, 1, 1, 1), (1, 2, 3), "silu"),
    "wide": lambda: Chain((48, 64, 96), (2, 1, 1), (1, 2), kernels=(5, 3, 5)),
    "residual": Residual,
    "separable": Separable,
    "clips": Clips,
}


def build(name, seed):
    torch.manual_seed(seed)
    return ARCHITECTURES[name]()


def _replace(network, name, module):
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)


def fold(network):
    """Folds every batch normalization into the convolution before it; the network is changed."""
    network.eval()
    for conv, bn in [unit[:2] for unit in network.units] + getattr(network, "others", []):
        _replace(network, conv, fuse_conv_bn_eval(network.get_submodule(conv), network.get_submodule(bn)))
        _replace(network, bn, nn.Identity())
    return network


@torch.no_grad()
def unfold(network, pictures, generator):
    """The inverse of `fold`, up to a free factor a channel: statistics are those of `pictures`, the function stays."""
    for conv_name, bn_name, _ in network.units:
        conv, seen = network.get_submodule(conv_name), []
        hook = conv.register_forward_hook(lambda m, i, o: seen.append(o.detach()))
        network(pictures)
        hook.remove()
        factor = torch.exp(0.3 * torch.randn(conv.out_channels, generator=generator)) * 0.5
        bn = nn.BatchNorm2d(conv.out_channels)
        output = seen[0] - conv.bias.view(1, -1, 1, 1)
        bn.running_mean.copy_(output.mean((0, 2, 3)) * factor)
        bn.running_var.copy_(output.var((0, 2, 3)) * factor**2)
        bn.weight.copy_((bn.running_var + bn.eps).sqrt() / factor)
        bn.bias.copy_(conv.bias + bn.running_mean / factor)
        conv.weight.mul_(factor.view(-1, *[1] * (conv.weight.dim() - 1)))
        conv.bias = None
        _replace(network, bn_name, bn.eval())
    return network.eval()


def activations(network, pictures, layers, before=False, batch=200):
    """What the modules `layers` give (with `before`: take) on the pictures: {layer: [N,C,…]}."""
    seen = {layer: [] for layer in layers}
    keep = lambda layer: lambda m, i, o: seen[layer].append((i[0] if before else o).detach())
    hooks = [network.get_submodule(layer).register_forward_hook(keep(layer)) for layer in layers]
    with torch.no_grad():
        for part in pictures.split(batch):
            network(part)
    for hook in hooks:
        hook.remove()
    return {layer: torch.cat(parts) for layer, parts in seen.items()}
