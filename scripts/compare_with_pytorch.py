"""Compares whole networks with PyTorch: torchvision's, and some of timm's with unusual parts.

    python scripts/compare_with_pytorch.py                       everything not yet in the results
    python scripts/compare_with_pytorch.py --group first         one small variant of every family
    python scripts/compare_with_pytorch.py resnet18 timm/levit_128
    python scripts/compare_with_pytorch.py --table               only writes the table anew

Needs `torch`, `torchvision`, `timm`, `onnx`, `onnxscript`, `onnxruntime`, `safetensors` and a release build of `oneiro`.

Every network gets random weights from a fixed seed, *calibrated*: normalisations measure photo-like noise, other layers
are scaled to answer with values of order one, and every constant (biases, gains, layer scales) is made uneven. With
weights as they are initialised, activations of deep networks shrink or grow by orders of magnitude and branches that
begin at zero hide what they compute.

It is exported by both of PyTorch's exporters with their default settings. Activations of a few layers and two gradients
are computed in float64, and `oneiro check` compares. Which tensor of the file is which layer is found by running
the file in ONNX Runtime; a file that does not compute what PyTorch does is thereby told from an error of ours.

Results are JSON lines, one a network and exporter; a run adds what is missing. The table is made of them.
"""

import argparse
import ast
import contextlib
import copy
import io
import json
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXPORTERS = ("legacy", "dynamo")
RTOL, GRAD_RTOL = 1e-4, 1e-3
# A tensor of the ONNX file whose relative error to a layer's activations is below this is taken to be that layer.
SAME = 1e-3
TIMEOUT = 1500
CHECK_TIMEOUT = 600
# Mean bias of normalisations. Around zero, half of all ReLUs would be closed, which amplifies rounding with depth.
OPEN = 0.5
# How many inputs are tried to find one away from kinks of the gradient, and for how many seconds.
ATTEMPTS, SECONDS_OF_ATTEMPTS = 2, 10
POSITIONS = (0.1, 0.35, 0.6, 0.85)

# Networks by family; `--group first` takes the first of each. A name is torchvision's, or `timm/NAME`, or one of EXTRA
# below. `NAME@SIZE` runs a network at a smaller size than its own.
CLASSIFIERS = [
    ["alexnet"],
    ["vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"],
    ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"],
    ["resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"],
    ["wide_resnet50_2", "wide_resnet101_2"],
    ["googlenet"],
    ["inception_v3"],
    ["squeezenet1_1", "squeezenet1_0"],
    ["densenet121", "densenet161", "densenet169", "densenet201"],
    ["mobilenet_v2"],
    ["mobilenet_v3_small", "mobilenet_v3_large"],
    ["efficientnet_b0"] + [f"efficientnet_b{i}" for i in range(1, 8)],
    ["efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l"],
    ["mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3"],
    ["regnet_x_400mf"] + [f"regnet_x_{n}" for n in ("800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")],
    ["regnet_y_400mf"] + [f"regnet_y_{n}" for n in ("800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf", "128gf")],
    ["shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0"],
    ["convnext_tiny", "convnext_small", "convnext_base", "convnext_large"],
    ["vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"],
    ["swin_t", "swin_s", "swin_b"],
    ["swin_v2_t", "swin_v2_s", "swin_v2_b"],
    ["maxvit_t"],
]
VIDEO = [
    ["r3d_18"],
    ["mc3_18"],
    ["r2plus1d_18"],
    ["s3d"],
    ["mvit_v1_b", "mvit_v2_s"],
    ["swin3d_t", "swin3d_s", "swin3d_b"],
]
TIMM = [
    [f"timm/{name}"]
    for name in (
        "resnetblur50 resnetaa50 seresnet50 ecaresnet26t nf_resnet50 dm_nfnet_f0 eca_nfnet_l0 resnetv2_50x1_bit res2net50_26w_4s "
        "resnest14d hrnet_w18_small mixnet_s ghostnet_100 levit_128 convmixer_768_32 coatnet_0_rw_224 mobilevit_s repvgg_a0 "
        "dla34 ese_vovnet19b_dw edgenext_small efficientformer_l1 poolformer_s12 xception41 inception_resnet_v2 "
        "cspdarknet53 cspresnet50 tresnet_m cait_xxs24_224 pit_s_224 mobileone_s0 fastvit_t8 efficientvit_b0 "
        "selecsys42b skresnet18 convnextv2_atto crossvit_9_240 mixer_s32_224 "
        "resmlp_12_224 xcit_nano_12_p16_224 volo_d1_224 twins_svt_small pvt_v2_b0 focalnet_tiny_srf gernet_s "
        "halonet26t botnet26t_256 lambda_resnet26t hardcorenas_a rexnet_100 tinynet_e visformer_tiny "
        "mobilenetv4_conv_small repvit_m1 starnet_s1 hgnet_tiny gcresnet33ts davit_tiny maxxvit_rmlp_nano_rw_256 "
        "beit_base_patch16_224 deit3_small_patch16_224 vit_small_patch16_dinov3 eva02_tiny_patch14_224 nextvit_small "
        "inception_next_tiny sequencer2d_s tnt_s_patch16_224 nest_tiny gcvit_xxtiny mvitv2_tiny swinv2_tiny_window8_256"
    ).split()
]
EXTRA = [
    ["fcn_resnet50"],
    ["deeplabv3_mobilenet_v3_large", "deeplabv3_resnet50"],
    ["lraspp_mobilenet_v3_large"],
    ["resnet18_fpn"],
    ["ssdlite_trunk"],
]
# Networks with more parameters than this are left out.
MAX_PARAMETERS = 250e6

SEGMENTATION = {"fcn_resnet50", "deeplabv3_mobilenet_v3_large", "deeplabv3_resnet50", "lraspp_mobilenet_v3_large"}
# Input sides of torchvision's networks that are not 224.
SIZES = {
    "inception_v3": 299,
    **dict(zip((f"efficientnet_b{i}" for i in range(8)), (224, 240, 288, 300, 380, 456, 528, 600))),
    **{"efficientnet_v2_s": 384, "efficientnet_v2_m": 480, "efficientnet_v2_l": 480},
    **{"swin_v2_t": 256, "swin_v2_s": 256, "swin_v2_b": 256},
    **{name: 256 for name in SEGMENTATION | {"resnet18_fpn"}},
    "ssdlite_trunk": 320,
}
CLIPS = {
    **{name: (16, 112) for name in ("r3d_18", "mc3_18", "r2plus1d_18")},
    **{name: (16, 224) for name in ("s3d", "mvit_v1_b", "mvit_v2_s")},
    **{name: (32, 224) for name in ("swin3d_t", "swin3d_s", "swin3d_b")},
}
# Smaller sides for networks whose own size would take minutes.
SMALLER = {
    **{f"efficientnet_b{i}": 224 for i in range(4, 8)},
    **{"efficientnet_v2_m": 224, "efficientnet_v2_l": 224},
    **{name: (8, 64) for name in ("swin3d_s", "swin3d_b")},
}


def groups():
    every = {"classifiers": CLASSIFIERS, "video": VIDEO, "timm": TIMM, "extra": EXTRA}
    flat = {group: [name for family in families for name in family] for group, families in every.items()}
    flat["first"] = [family[0] for group in ("classifiers", "video", "extra", "timm") for family in every[group]]
    flat["all"] = flat["first"] + [n for group in every for n in flat[group] if n not in flat["first"]]
    return flat


# ---- networks ----


def build(name):
    """Returns the network in evaluation mode, and the shape of one input."""
    import torch
    import torchvision
    from torch import nn

    class First(nn.Module):
        """Wraps a network that returns a dictionary, and returns its tensors."""

        def __init__(self, network, keys=None):
            super().__init__()
            self.network, self.keys = network, keys

        def forward(self, x):
            found = self.network(x)
            return tuple(found[k] for k in self.keys or found)

    if name.startswith("timm/"):
        import timm

        net = timm.create_model(name[5:], pretrained=False)
        shape = tuple(net.default_cfg["input_size"])
    elif name == "resnet18_fpn":
        from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

        net, shape = First(resnet_fpn_backbone(backbone_name="resnet18", weights=None)), (3, SIZES[name], SIZES[name])
    elif name == "ssdlite_trunk":
        from torchvision.models.detection import ssdlite320_mobilenet_v3_large

        net = First(ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).backbone)
        shape = (3, SIZES[name], SIZES[name])
    elif name in SEGMENTATION:
        net = torchvision.models.get_model(name, weights=None, weights_backbone=None)
        net, shape = First(net, ["out"]), (3, SIZES[name], SIZES[name])
    else:
        # The networks' own initialisation takes minutes in scipy, and calibration replaces it anyway.
        quick = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        net = torchvision.models.get_model(name, weights=None, **quick)
        size = SMALLER.get(name)
        if name in CLIPS:
            frames, size = size or CLIPS[name]
            shape = (3, frames, size, size)
        else:
            size = size or SIZES.get(name, 224)
            shape = (3, size, size)
    for module in net.modules():
        # In-place layers would overwrite a result before a hook reads it.
        if isinstance(getattr(module, "inplace", None), bool):
            module.inplace = False
    return net.eval(), shape


def photo_like(shape, batch, seed):
    """Returns noise with the spectrum of photographs (amplitude falls as 1/f), with uneven contrast and colour."""
    import torch

    random = torch.Generator().manual_seed(seed)
    white = torch.randn((batch, *shape), generator=random)
    axes = tuple(range(2, white.ndim))
    grid = torch.meshgrid(*(torch.fft.fftfreq(n) * n for n in shape[1:]), indexing="ij")
    radius = torch.stack(grid).square().sum(0).sqrt().clamp(min=1)
    pink = torch.fft.ifftn(torch.fft.fftn(white, dim=axes) / radius, dim=axes).real
    pink /= pink.std(axes, keepdim=True)
    one = (1,) * len(axes)
    contrast = 0.5 + torch.rand((batch, 1, *one), generator=random)
    colour = 0.4 * torch.randn((batch, shape[0], *one), generator=random)
    # A little white noise makes the pixels of a pooling window differ.
    return pink * contrast + colour + 0.05 * white


def calibrate(net, shape):
    """Scales a network's weights so that activations are of order one at every depth, and none is constant."""
    import torch
    from torch import nn

    with torch.no_grad():
        for name, p in net.named_parameters():
            fan_in = p[0].numel() if p.ndim > 1 else 0
            if p.numel() == 0:
                continue
            constant = p.numel() > 1 and bool((p == p.flatten()[0]).all()) or p.numel() == 1
            uneven = 0.7 + 0.6 * torch.rand_like(p)
            if constant and p.flatten()[0] == 0:
                if "weight" in name and p.ndim > 1:
                    p.normal_(std=fan_in**-0.5)
                elif re.search("weight|gamma|gain|scale", name):
                    p.copy_(0.5 * uneven)
                else:
                    p.normal_(std=0.1)
            elif constant:
                # Layer scales begin near zero, which would hide the layers that they scale.
                p.copy_((0.4 if abs(p.flatten()[0]) < 0.2 else p.flatten()[0]) * uneven)
            elif p.ndim > 1 and "weight" in name and p.std() < 0.5 * fan_in**-0.5:
                # Layers that are not called as modules, such as attention's, are scaled here.
                p.mul_(fan_in**-0.5 / p.std())

        for module in net.modules():
            if isinstance(module, nn.GroupNorm) and module.bias is not None:
                module.bias.copy_(OPEN + 0.3 * torch.randn_like(module.bias))

        def scale(module, x, y):
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                x = x[0]
                over = [axis for axis in range(x.ndim) if axis != 1]
                mean, var = x.mean(over), x.var(over)
                var = var.clamp(min=1e-2 * var.mean().item() + 1e-6)
                module.running_mean.copy_(mean + 0.2 * var.sqrt() * torch.randn_like(mean))
                module.running_var.copy_(var * (0.7 + 0.6 * torch.rand_like(var)))
                if module.affine:
                    module.bias.copy_(OPEN + 0.3 * torch.randn_like(mean))
            else:
                own = y - 0
                if module.bias is not None:
                    axis = 1 if "Conv" in type(module).__name__ else -1
                    view = [1] * y.ndim
                    view[axis] = -1
                    own = y - module.bias.view(view)
                size = own.square().mean().sqrt()
                if size > 1e-12 and torch.isfinite(size):
                    module.weight.div_(size)
                if module.bias is not None:
                    module.bias.copy_(0.2 * torch.randn_like(module.bias))
            return module.forward(x if torch.is_tensor(x) else x[0])

        kinds = (nn.modules.batchnorm._BatchNorm, nn.modules.conv._ConvNd, nn.Linear)
        hooks = [m.register_forward_hook(scale) for m in net.modules() if isinstance(m, kinds)]
        net(photo_like(shape, 4 if len(shape) == 3 else 2, 1))
        for hook in hooks:
            hook.remove()


def first_tensor(y):
    import torch

    return y if torch.is_tensor(y) else y[0]


def calls(net, x):
    """Returns the modules that depend on the input, in the order in which they return, with their last results'
    shapes."""
    import torch

    order = {}

    def note(name):
        def hook(_, __, y):
            if torch.is_tensor(y) and y.requires_grad:
                order.pop(name, None)
                order[name] = tuple(y.shape)

        return hook

    hooks = [m.register_forward_hook(note(n)) for n, m in net.named_modules() if n]
    net(x.requires_grad_())
    for hook in hooks:
        hook.remove()
    return order


def captured(net, x, wanted):
    """Returns the result, and copies of the wanted modules' results, which the next layer may overwrite."""
    import torch
    from torch import nn

    kept = {}

    def keep(name):
        return lambda _, __, y: kept.__setitem__(name, y.clone())

    def contiguous_gradient(_, __, y):
        # PyTorch 2.15 computes a wrong gradient for a BatchNorm in evaluation mode, batch 1, if it comes back
        # transposed.
        if y.requires_grad:
            y.register_hook(torch.Tensor.contiguous)

    modules = dict(net.named_modules())
    norms = [m for m in modules.values() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    hooks = [m.register_forward_hook(contiguous_gradient) for m in norms]
    hooks += [modules[n].register_forward_hook(keep(n)) for n in wanted]
    y = net(x)
    for hook in hooks:
        hook.remove()
    return kept | {"output": first_tensor(y)}


def candidates(net, x):
    """Returns for each depth the nearest modules, best first."""
    from torch import nn

    modules = dict(net.named_modules())
    # Modules of which an exporter leaves no node, or which it merges with the next layer.
    skip = (nn.modules.conv._ConvNd, nn.Dropout, nn.Identity, nn.Linear)
    order = [n for n, shape in calls(net, x).items() if len(shape) >= 3 and not isinstance(modules[n], skip)]
    layers = []
    for p in POSITIONS:
        at = p * (len(order) - 1)
        near = sorted(range(len(order)), key=lambda i: abs(i - at))[:12]
        # The mean over a normalised axis is constant, so its gradient is only rounding.
        blocks = [order[i] for i in near if not isinstance(modules[order[i]], (nn.LayerNorm, nn.GroupNorm))]
        layers.append(blocks[:6])
    return layers


# ---- files ----


def export(net, shape, exporter, path):
    """Writes the ONNX file with a free batch, or with a batch of one if that fails; returns which."""
    import torch

    torch.manual_seed(0)
    # The old exporter does not know attention's fused form, which is only an optimisation.
    torch.backends.mha.set_fastpath_enabled(False)
    names = {"input_names": ["x"]}

    def attempt(dynamic):
        x = torch.randn(2 if dynamic else 1, *shape)
        if exporter == "legacy":
            axes = {"dynamic_axes": {"x": {0: "n"}}} if dynamic else {}
            torch.onnx.export(net, (x,), str(path), dynamo=False, **names, **axes)
        else:
            axes = {"dynamic_shapes": ({0: torch.export.Dim("n", min=1, max=64)},)} if dynamic else {}
            torch.onnx.export(
                net, (x,), str(path), dynamo=True, external_data=False, verbose=False, **names, **axes
            )
        return "free" if dynamic else "fixed"

    # Both exporters print much output when they fail.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            return attempt(True)
        except Exception:
            return attempt(False)


def short(error):
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def module_of(node):
    """Returns the scopes of the module that a node of the file came from, outermost first."""
    for p in node.metadata_props:
        if p.key == "pkg.torch.onnx.name_scopes":
            return [s for s in ast.literal_eval(p.value)[:-1] if s]
    path = []
    for part in node.name.strip("/").split("/")[:-1]:
        # A container's children repeat its name: /layer1/layer1.0/conv1.
        if path and part.startswith(path[-1].rsplit(">", 1)[-1] + "."):
            path[-1] = path[-1][: len(path[-1]) - len(path[-1].rsplit(">", 1)[-1])] + part
        else:
            path.append((path[-1] + "." if path else "") and ">" + part or part)
    parts = [p.lstrip(">") for p in path]
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def tensors_of(model, module, limit=4):
    """Returns the last few results computed inside a module."""
    inside = lambda p: p == module or p.startswith(module + ".")
    found = [n.output[0] for n in model.graph.node if n.output and any(inside(p) for p in module_of(n)[-1:])]
    return found[::-1][:limit]


def run_file(model, feeds, wanted):
    """Returns the wanted tensors of the file, computed by ONNX Runtime without graph optimisations."""
    import numpy as np
    import onnx
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 2
    options.log_severity_level = 4
    have = {o.name for o in model.graph.output}
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    extended.graph.output.extend(onnx.ValueInfoProto(name=n) for n in wanted if n not in have)
    session = ort.InferenceSession(extended.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs = [o.name for o in session.get_outputs()]
    return {n: v for n, v in zip(outputs, session.run(None, feeds)) if v.dtype == np.float32}


def relative(ours, theirs):
    import numpy as np

    return float(np.linalg.norm((ours - theirs).astype(np.float64)) / max(np.linalg.norm(theirs), 1e-300))


# ---- one network ----


def gradient(channel, x):
    import torch

    return torch.autograd.grad(channel.mean(), x, retain_graph=True)[0]


def reference(net, net64, shape, wanted):
    """An input, the activations in both precisions, and the unit of the output.

    Where a ReLU's input is zero within rounding, a gradient jumps, and in a network with millions of ReLUs there often
    is one. A few inputs are tried for one at which PyTorch's own precisions agree.
    """
    import torch

    best = None
    start = time.time()
    for seed in range(2, 2 + ATTEMPTS):
        x = photo_like(shape, 1, seed)
        x32, x64 = x.clone().requires_grad_(), x.double().requires_grad_()
        acts32 = captured(net, x32, wanted) | {"input": x32}
        torch.set_default_dtype(torch.float64)
        acts64 = captured(net64, x64, wanted) | {"input": x64}
        torch.set_default_dtype(torch.float32)
        c = unit(acts64["output"])
        error = relative(*(gradient(acts["output"][:, c], acts["input"]).numpy() for acts in (acts32, acts64)))
        if best is None or error < best[0]:
            best = (error, (x, acts32, acts64, c))
        if error < GRAD_RTOL / 10 or time.time() - start > SECONDS_OF_ATTEMPTS:
            break
    return best[1]


def unit(y):
    """Returns the channel whose mean is farthest from zero, so that its value is no difference of large numbers."""
    return int(y[0].detach().reshape(len(y[0]), -1).mean(1).abs().argmax())


def compare(name, oneiro, exporters, folder, keep):
    """Compares one network; yields one record for each exporter."""
    import numpy as np
    import onnx
    import torch
    from safetensors.numpy import save

    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    torch.manual_seed(0)
    net, shape = build(name)
    parameters = sum(p.numel() for p in net.parameters())
    base = {"model": name, "parameters": parameters, "size": list(shape)}
    if parameters > MAX_PARAMETERS:
        for exporter in exporters:
            yield base | {"exporter": exporter, "status": "too large"}
        return
    calibrate(net, shape)
    for p in net.parameters():
        p.requires_grad_(False)
    depths = candidates(net, photo_like(shape, 1, 2))
    wanted = list(dict.fromkeys(n for near in depths for n in near))

    files = {}
    for exporter in exporters:
        path = folder / f"{name.replace('/', '_')}.{exporter}.onnx"
        start = time.time()
        try:
            batch = export(net, shape, exporter, path)
            files[exporter] = (path, {"batch": batch, "export_seconds": round(time.time() - start, 1)})
        except Exception as e:
            yield base | {"exporter": exporter, "status": "not exported", "message": short(e)}
    if not files:
        return

    net64 = copy.deepcopy(net).double()
    x, acts32, acts64, c = reference(net, net64, shape, wanted)
    x32, x64 = (acts.pop("input") for acts in (acts32, acts64))
    numbers32, numbers = ({n: a.detach().numpy() for n, a in acts.items()} for acts in (acts32, acts64))

    chosen, about = {}, {}
    for exporter, (path, exported) in files.items():
        names, about[exporter] = find_layers(path, x.numpy(), wanted, numbers32)
        layers = [next((n for n in near if n in names), None) for near in depths]
        about[exporter] = exported | about[exporter] | {"unmatched": [d for d, n in zip(depths, layers) if n is None]}
        chosen[exporter] = {n: names[n] for n in [*layers, "output"] if n}

    # The middle layer is the second of the layers found.
    middles = {e: [*names][min(1, len(names) - 1)] for e, names in chosen.items()}
    units = {n: unit(acts32[n]) for n in middles.values()} | {"output": c}
    gradients32, gradients64 = (
        {n: gradient(acts[n][:, c], x).numpy() for n, c in units.items()} for acts, x in ((acts32, x32), (acts64, x64))
    )
    del acts32, acts64

    for exporter, (path, _) in files.items():
        names = chosen[exporter]
        golden = {"input/x": x.numpy()} | {f"act/{tensor}": numbers[n] for n, tensor in names.items()}
        expressions, errors32 = {}, {}
        for id, layer in {"middle": middles[exporter], "end": "output"}.items():
            c = units[layer]
            plain = layer == "output" and numbers[layer].ndim == 2
            expressions[id] = f"logit({c})" if plain else f'channel("{names[layer]}",{c})'
            golden[f"value/{id}"] = numbers[layer][:, c].mean().reshape(1)
            golden[f"grad/{id}/x"] = gradients64[layer]
            errors32[id] = relative(gradients32[layer], gradients64[layer])
        record = base | {"exporter": exporter} | about[exporter] | {
            "layers": names,
            "objectives": expressions,
            "pytorch_float32_gradients": errors32,
            "pytorch_float32_activations": max(relative(numbers32[n], numbers[n]) for n in names),
            "deviations": {n: float(numbers[n].std()) for n in names},
        }
        stored = folder / f"{path.stem}.golden.safetensors"
        golden = {key: np.ascontiguousarray(a, dtype=np.float32) for key, a in golden.items()}
        stored.write_bytes(save(golden, {"objectives": json.dumps(expressions)}))
        record |= check(oneiro, path, stored)
        record["file_mib"] = round(path.stat().st_size / 2**20, 1)
        yield record
        if not keep:
            path.unlink()
            stored.unlink()


def find_layers(path, x, wanted, numbers):
    """Returns which tensors of the file are the wanted layers, judged by ONNX Runtime's values, and its own output."""
    import onnx

    model = onnx.load(path)
    names = {"output": model.graph.output[0].name}
    tensors = {n: tensors_of(model, n) for n in wanted}
    try:
        computed = run_file(model, {model.graph.input[0].name: x}, {t for ts in tensors.values() for t in ts})
    except Exception as e:
        return names, {"runtime": short(e)}
    for n, ts in tensors.items():
        same = (t for t in ts if t in computed and computed[t].shape == numbers[n].shape)
        names |= next(({n: t} for t in same if relative(computed[t], numbers[n]) < SAME), {})
    return names, {"runtime_output_error": relative(computed[names["output"]], numbers["output"])}


def compare_quickly(name, oneiro, exporter, folder):
    """A record of the output and its gradient against PyTorch in float32, which needs no file but the network's.

    `NAME@SIZE` runs it at another size. Two float32 runs differ at every kink, so a large gradient error is no verdict.
    """
    import numpy as np
    import onnx
    import torch
    from safetensors.numpy import load_file

    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    name, _, size = name.partition("@")
    net, shape = build(name)
    if size:
        shape = (shape[0], *([8] * (len(shape) - 3)), int(size), int(size))
    parameters = sum(p.numel() for p in net.parameters())
    record = {"model": name, "exporter": exporter, "parameters": parameters, "size": list(shape), "quick": True}
    calibrate(net, shape)
    for p in net.parameters():
        p.requires_grad_(False)
    x = photo_like(shape, 1, 2).requires_grad_()
    y = captured(net, x, [])["output"]
    c = unit(y)
    theirs = gradient(y[:, c], x).numpy()
    path = folder / "quick.onnx"
    try:
        record["batch"] = export(net, shape, exporter, path)
    except Exception as e:
        return record | {"status": "not exported", "message": short(e)}
    out = onnx.load(path, load_external_data=False).graph.output[0].name
    np.save(folder / "x.npy", x.detach().numpy())
    command = [oneiro, "run", path, "--preprocess", "none", "--input", f"x={folder / 'x.npy'}", "--capture", out]
    command += ["--grad", f'channel("{out}",{c})', "--out", folder / "out.safetensors"]
    done = subprocess.run(command, capture_output=True, text=True)
    path.unlink()
    if done.returncode:
        return record | {"status": "refused", "message": done.stderr.strip()[-600:]}
    ours = load_file(folder / "out.safetensors")
    activations = relative(ours[f"act/{out}"].reshape(y.shape), y.detach().numpy())
    record |= {"activations": activations, "gradients": relative(ours["grad/x"], theirs)}
    return record | {"status": "agrees" if activations < RTOL and record["gradients"] < GRAD_RTOL else "disagrees"}


LINE = re.compile(r"^((act|value|grad)/.*): (\S+) \(at most \S+\)  (ok|FAILED)(?:.*; (\S+) at the one given)?")


def check(oneiro, path, reference):
    """Runs `oneiro` and returns its results."""
    start = time.time()
    try:
        layers = subprocess.run([oneiro, "layers", path, "--json"], capture_output=True, text=True, timeout=CHECK_TIMEOUT)
        loaded = {"load_seconds": round(time.time() - start, 2)}
        if layers.returncode:
            loaded["layers_message"] = layers.stderr.strip()[-600:]
        start = time.time()
        command = [oneiro, "check", path, reference, "--rtol", str(RTOL), "--grad-rtol", str(GRAD_RTOL)]
        done = subprocess.run([*command, "--preprocess", "none"], capture_output=True, text=True, timeout=CHECK_TIMEOUT)
    except subprocess.TimeoutExpired:
        return {"status": "refused", "message": f"no answer within {CHECK_TIMEOUT} s"}
    found = loaded | {"check_seconds": round(time.time() - start, 2)}
    lines = done.stdout.strip().splitlines()
    parsed = [m.groups() for m in map(LINE.match, lines) if m]
    if not parsed:
        return found | {"status": "refused", "message": (done.stderr + done.stdout).strip()[-600:]}
    number = lambda s: float(s.replace("NaN", "nan"))
    errors = {name: number(error) for name, _, error, _, _ in parsed}
    largest = lambda *kinds: max((number(e) for _, k, e, _, _ in parsed if k in kinds), default=None)
    found |= {"activations": largest("act", "value"), "gradients": largest("grad"), "errors": errors}
    at_a_kink = {name: number(here) for name, _, _, _, here in parsed if here}
    if at_a_kink:
        found["gradients_at_a_kink"] = at_a_kink
    failed = [l for l in lines if l.endswith("FAILED")]
    if done.returncode or failed:
        return found | {"status": "disagrees", "message": "; ".join(failed) or done.stderr.strip()[-600:]}
    return found | {"status": "agrees"}


# ---- the table ----


HEAD = """\
# Networks compared with PyTorch

Made by `scripts/compare_with_pytorch.py --table`; the script's head says how networks are built and compared, and
runs again whatever is named. {versions}. Weights are random but calibrated, so that every layer answers with values of order one. Both of PyTorch's
exporters, default settings, ONNX file free in the batch unless marked.

The error is ‖ours − theirs‖ / ‖theirs‖ against PyTorch in float64, the largest of four layers at about 10, 35, 60 and 85 %
of the depth, the output and the objectives' values (*activations*), and of the input gradients of a channel in
the middle and of an output (*gradients*). Bounds are 10⁻⁴ and 10⁻³, and are nowhere loosened.
*PyTorch* is the error of PyTorch's own float32 gradient. Where that is large, an activation is zero within rounding, and
the gradient of a ReLU or of a maximum jumps there; `oneiro check` then tries inputs that differ by one unit in the last
place, and counts a gradient that agrees at one of them (marked *).
Bold numbers exceed a bound even so; next to PyTorch's own error they say whether that is a kink or a mistake.
*Load* is reading the file and listing its layers, in seconds on two busy cores.

{count} of {total} files agree ({networks} networks){more}. {quick} further networks, marked †, were compared quickly
(`--quick`): one exporter, mostly at a smaller size, the output and one gradient only, and against PyTorch in *float32*. Two
float32 runs part at every kink, so that a gradient error above 10⁻³ there shows nothing either way. The one
network with activations above 10⁻⁴, convmixer_768_32, amplifies rounding through 32 blocks of random weights: ONNX Runtime
differs from the float64 reference by 8·10⁻⁴ there, PyTorch's own float32 gradient by 0.17.
"""
TITLES = {
    "classifiers": "torchvision's classifiers",
    "video": "torchvision's video networks",
    "timm": "timm: unusual parts",
    "extra": "Beyond classifiers",
}
EXTRAS = {
    "resnet18_fpn": "resnet18_fpn (backbone and feature pyramid of a detector)",
    "ssdlite_trunk": "ssdlite_trunk (backbone of ssdlite320_mobilenet_v3_large)",
}


def table(records, path):
    """Writes the table of the results as Markdown."""
    import timm
    import torch
    import torchvision

    every = groups()
    shown = {n for names in every.values() for n in names}
    records = {key: r for key, r in records.items() if key[0] in shown}
    quick = {m for m, e in records if records[m, e].get("quick")}
    of = lambda status: [r for r in records.values() if r["status"] == status and not r.get("quick")]
    not_ours = of("not exported") + of("too large") + of("script failed")
    total = sum(not r.get("quick") for r in records.values()) - len(not_ours)
    versions = f"PyTorch {torch.__version__.split('+')[0]}, torchvision {torchvision.__version__.split('+')[0]}, timm {timm.__version__}"
    refused, disagree = of("refused"), of("disagrees")
    more = "".join(
        f", {len(rs)} {what}" for rs, what in ((refused, "are refused"), (disagree, "disagree")) if rs
    )
    if of("not exported"):
        more += f"; {len(of('not exported'))} more could not be exported by PyTorch"
    networks = len({m for (m, _), r in records.items() if not r.get("quick")})
    lines = [HEAD.format(versions=versions, count=len(of("agrees")), total=total, networks=networks, more=more, quick=len(quick))]
    for group, title in TITLES.items():
        names = [n for n in every[group] if any((n, e) in records for e in EXPORTERS)]
        left = [n for n in every[group] if n not in names]
        lines += [f"## {title}", ""]
        lines += [
            "| network | input | parameters | activations, gradients: old exporter | new exporter | PyTorch | load |",
            "|---|---|---|---|---|---|---|",
        ]
        for name in names:
            found = [records.get((name, e)) for e in EXPORTERS]
            lines.append(row(name, found))
        lines.append("")
        if left:
            lines += ["Not run yet: " + ", ".join(n.removeprefix("timm/") for n in left) + ".", ""]
    notes = [r for r in records.values() if "message" in r]
    if notes:
        lines += ["## What does not agree", ""]
        for r in sorted(notes, key=lambda r: (r["status"], r["model"])):
            message = re.sub(r"\s+", " ", r.get("message", "")).replace("|", "\\|").removeprefix("error: ")
            lines.append(f"- {r['model'].removeprefix('timm/')}, {EXPORTER_NAMES[r['exporter']]}, {r['status']}: {message[:300]}")
        lines.append("")
    path.write_text("\n".join(lines))
    print(f"{path}: {len(records)} results")


EXPORTER_NAMES = {"legacy": "old exporter", "dynamo": "new exporter"}


def row(name, found):
    number = lambda x: f"{x:.0e}".replace("e-0", "e-").replace("e+00", "")
    some = next(r for r in found if r)
    cells = []
    for r in found:
        if r is None:
            cells.append("not run")
        elif r.get("activations") is None or r.get("gradients") is None:
            cells.append(r["status"])
        else:
            text = f"{number(r['activations'])}, {number(r['gradients'])}"
            text += "*" if r.get("gradients_at_a_kink") else ""
            text += " (fixed batch)" if r.get("batch") == "fixed" else ""
            text += " †" if r.get("quick") else ""
            cells.append(f"**{text}**" if r["status"] != "agrees" and not r.get("quick") else text)
    theirs = [max(r["pytorch_float32_gradients"].values()) for r in found if r and "pytorch_float32_gradients" in r]
    load = [r["load_seconds"] for r in found if r and "load_seconds" in r]
    size = some.get("size")
    shape = "×".join(str(n) for n in size[1:]) if size else ""
    parameters = f"{some['parameters'] / 1e6:.1f} M" if "parameters" in some else ""
    shown = EXTRAS.get(name, name.removeprefix("timm/"))
    last = [number(max(theirs)) if theirs else "", f"{min(load):.2f}" if load else ""]
    return "| " + " | ".join([shown, shape, parameters, *cells, *last]) + " |"


def read(path):
    """Returns the latest result of each network; a quick one does not replace a complete one."""
    latest = {}
    if path.exists():
        for line in path.read_text().splitlines():
            record = json.loads(line)
            key = record["model"], record["exporter"]
            if not record.get("quick") or key not in latest or latest[key].get("quick"):
                latest[key] = record
    return latest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="names; everything if none and no group")
    parser.add_argument("--group", choices=sorted(groups()), help="a list of names instead")
    parser.add_argument("--exporter", choices=EXPORTERS, help="only this one")
    parser.add_argument("--results", type=Path, default=ROOT / "target" / "models.jsonl")
    parser.add_argument("--oneiro", type=Path, default=ROOT / "target" / "release" / "oneiro")
    parser.add_argument("--folder", type=Path, help="where models and references go while they are needed")
    parser.add_argument("--keep", action="store_true", help="leave them there")
    parser.add_argument("--again", action="store_true", help="also what the results hold already")
    parser.add_argument("--retry", action="store_true", help="also what the results hold as other than agreeing")
    parser.add_argument("--quick", action="store_true", help="NAME or NAME@SIZE: only the output and its gradient, in float32")
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.table:
        table(read(args.results), ROOT / "docs" / "models.md")
        return
    exporters = [args.exporter] if args.exporter else EXPORTERS
    if args.here:
        with tempfile.TemporaryDirectory(prefix="oneiro-models-") as folder:
            folder = args.folder or Path(folder)
            folder.mkdir(parents=True, exist_ok=True)
            for record in compare(args.models[0], args.oneiro, exporters, folder, args.keep):
                with args.results.open("a") as file:
                    file.write(json.dumps(record) + "\n")
                print(summary(record), flush=True)
        return
    args.results.parent.mkdir(parents=True, exist_ok=True)
    if args.quick:
        for name in args.models:
            for exporter in exporters:
                with tempfile.TemporaryDirectory(prefix="oneiro-models-") as folder:
                    record = compare_quickly(name, args.oneiro, exporter, Path(folder))
                with args.results.open("a") as file:
                    file.write(json.dumps(record) + "\n")
                print(name, exporter, record["status"], record.get("message", ""), flush=True)
        return
    for name in args.models or groups()[args.group or "all"]:
        done = read(args.results)
        fine = lambda r: r is not None and not r.get("quick") and not args.again and (not args.retry or r["status"] == "agrees")
        missing = [e for e in exporters if not fine(done.get((name, e)))]
        if not missing:
            continue
        for exporter in [None] if len(missing) == len(EXPORTERS) else missing:
            command = [sys.executable, __file__, "--here", name, "--results", args.results, "--oneiro", args.oneiro]
            command += ["--exporter", exporter] if exporter else []
            command += ["--folder", args.folder] if args.folder else []
            command += ["--keep"] if args.keep else []
            # Each network runs in a process of its own, which returns its memory and whose crash ends no other.
            try:
                done = subprocess.run(command, timeout=TIMEOUT, stderr=subprocess.PIPE, text=True)
                failed = done.returncode and (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
            except subprocess.TimeoutExpired:
                failed = f"no result within {TIMEOUT} s"
            if failed:
                have = read(args.results)
                for e in [exporter] if exporter else missing:
                    if (name, e) not in have:
                        record = {"model": name, "exporter": e, "status": "script failed", "message": failed[:300]}
                        with args.results.open("a") as file:
                            file.write(json.dumps(record) + "\n")
                        print(summary(record), flush=True)


def summary(record):
    text = f"{record['model']:28} {record['exporter']:7} {record['status']:12}"
    if "activations" in record and record["activations"] is not None:
        text += f" {record['activations']:.1e} {record['gradients']:.1e}"
        text += f" (PyTorch {max(record['pytorch_float32_gradients'].values()):.1e})"
        text += f" ort {record.get('runtime_output_error', float('nan')):.0e} load {record['load_seconds']} check {record['check_seconds']}"
    if record.get("unmatched"):
        text += f" unmatched {len(record['unmatched'])}"
    return text + ("  " + record["message"] if "message" in record else "")


if __name__ == "__main__":
    main()
