"""Makes small networks whose layers have their channels on the last axis, or on none: run `python make.py`.

Needs torch, onnx, onnxscript, safetensors, numpy. For each network and both of PyTorch's exporters it writes NETWORK.EXPORTER.onnx and
NETWORK.EXPORTER.golden.safetensors: values and input gradients of `channel`, in float64, of modules named by their path. Means run
over patch tokens; class and register tokens are left out.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import nn

HERE = Path(__file__).parent
SIDE = 24
warnings.filterwarnings("ignore")


class Attention(nn.Module):
    def __init__(self, dim, heads, fused):
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = torch.softmax(q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5, -1) @ v
        return self.proj(y.transpose(1, 2).reshape(n, t, c))


class Block(nn.Module):
    def __init__(self, dim, heads, fused):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(dim), Attention(dim, heads, fused)
        self.norm2, self.fc1, self.fc2 = nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class ClassToken(nn.Module):
    """A transformer with 36 patches of 4 pixels and as many channels as tokens, a class token and two registers."""

    layers = {"embed": ("NCHW", 0), "block.norm1": ("last", 3), "block.fc1": ("last", 3), "block.attn.qkv": ("last", 3), "norm": ("last", 3)}

    def __init__(self, before=3, after=0, dim=39, heads=3, fused=False):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, 4, 4)
        self.before, self.after = nn.Parameter(torch.randn(1, before, dim)), nn.Parameter(torch.randn(1, after, dim))
        self.position = nn.Parameter(torch.randn(1, before + 36 + after, dim))
        self.block, self.norm, self.head = Block(dim, heads, fused), nn.LayerNorm(dim), nn.Linear(dim, 4)

    def forward(self, x):
        x, n = self.embed(x).flatten(2).transpose(1, 2), x.shape[0]
        x = torch.cat([self.before.expand(n, -1, -1), x, self.after.expand(n, -1, -1)], 1) + self.position
        x = self.norm(self.block(x))
        return self.head(self.pooled(x))

    def pooled(self, x):
        return x[:, 0]


class Registers(ClassToken):
    """A transformer with four register tokens after the patches, no class token, and fused attention."""

    layers = {"block.norm2": ("last", (0, 4)), "block.fc1": ("last", (0, 4)), "norm": ("last", (0, 4))}

    def __init__(self):
        super().__init__(before=0, after=4, dim=8, heads=2, fused=True)

    def pooled(self, x):
        return x[:, :-4].mean(1)


class Windows(nn.Module):
    """Swin's windows of 3x3 positions on a shifted map, and the merging of four neighbours."""

    layers = {"norm": ("last", 0), "block.fc1": ("last", 0), "block.attn.proj": ("last", 0), "merge": ("last", 0), "last": ("last", 0)}

    def __init__(self):
        super().__init__()
        self.embed, self.norm, self.block = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8), Block(8, 2, False)
        self.merge, self.last, self.head = nn.Linear(32, 12), nn.LayerNorm(12), nn.Linear(12, 4)

    def forward(self, x):
        x = self.norm(self.embed(x).permute(0, 2, 3, 1))
        n, h, w, c = x.shape
        y = torch.roll(x, (-1, -1), (1, 2)).reshape(n, h // 3, 3, w // 3, 3, c).permute(0, 1, 3, 2, 4, 5)
        y = self.block(y.reshape(-1, 9, c)).reshape(n, h // 3, w // 3, 3, 3, c).permute(0, 1, 3, 2, 4, 5)
        x = x + torch.roll(y.reshape(n, h, w, c), (1, 1), (1, 2))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.head(self.last(self.merge(x)).mean((1, 2)))


class Mixer(nn.Module):
    """A product over tokens, which has no channel axis, and a product over channels."""

    layers = {"norm": ("last", 0), "fc": ("last", 0), "last": ("last", 0)}

    def __init__(self):
        super().__init__()
        self.embed, self.norm, self.mix, self.back = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8), nn.Linear(36, 8), nn.Linear(8, 36)
        self.fc, self.last, self.head = nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 4)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x + self.back(F.gelu(self.mix(self.norm(x).transpose(1, 2)))).transpose(1, 2)
        return self.head(self.last(x + self.fc(x)).mean(1))


def channel(y, kind, prefix, c):
    """Returns the mean of channel c over positions, without tokens that are no patches."""
    if kind == "NCHW":
        return y[:, c].mean()
    before, after = prefix if isinstance(prefix, tuple) else (prefix, 0)
    if before or after:
        y = y[:, before:y.shape[1] - after]
    return y[..., c].mean()


def main():
    for name, make in {"class_token": ClassToken, "registers": Registers, "windows": Windows, "mixer": Mixer}.items():
        torch.manual_seed(7)
        net = make().eval()
        example = torch.rand(2, 3, SIDE, SIDE)
        for exporter in ("legacy", "dynamo"):
            file, new = HERE / f"{name}.{exporter}.onnx", exporter == "dynamo"
            free = {"dynamic_shapes": ({0: torch.export.Dim("n")},)} if new else {"dynamic_axes": {"x": {0: "n"}}}
            extra = {"external_data": False, "opset_version": 20} if new else {"opset_version": 17}
            torch.onnx.export(net, (example,), file, dynamo=new, input_names=["x"], output_names=["logits"], **free, **extra)
        double, kept = net.double(), {}
        for path, module in double.named_modules():
            module.register_forward_hook(lambda m, i, o, path=path: kept.update({path: o}))
        x = torch.tensor(np.random.default_rng(5).normal(size=(2, 3, SIDE, SIDE))).requires_grad_()
        tensors, objectives = {"input/x": x, "act/logits": double(x)}, {}
        for path, (kind, prefix) in make.layers.items():
            value = channel(kept[path], kind, prefix, 2)
            tensors[f"value/{path}"] = value[None]
            tensors[f"grad/{path}/x"], = torch.autograd.grad(value, x, retain_graph=True)
            objectives[path] = f'channel("{path}",2)'
        data = {k: v.detach().numpy().astype("float32") for k, v in tensors.items()}
        for exporter in ("legacy", "dynamo"):
            save_file(data, HERE / f"{name}.{exporter}.golden.safetensors", {"objectives": json.dumps(objectives)})


main()
