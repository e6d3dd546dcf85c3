"""Exports two video networks with random weights, which `compare_video.py` compares.

    pip install torch torchvision numpy onnx onnxruntime
    python scripts/make_video_networks.py --out target/video-networks
    python scripts/make_video_networks.py --out target/video-networks --check

Measures nothing itself. It writes NAME.onnx (opset 17), its card NAME.toml and NAME.pt (the weights for PyTorch):

two_stream_vgg16: the fusion network of Feichtenhofer, Pinz & Zisserman (CVPR 2016), as visualised in Feichtenhofer et al.
    (IJCV 2020). Inputs rgb [N,3,224,224] and flow [N,20,224,224], ten fields u0,v0,…,u9,v9. Two VGG-16 trunks up to relu5_3
    are concatenated. Then conv5_fusion (3×3, 512), relu5_fusion, pool5, fc6 and fc7 (4096), and fc8 (101). Fusion and pool5
    have no time axis here. Nothing is batch normalized. 640 MB.
r3d_18: clip [N,3,16,112,112] of Tran et al. (CVPR 2018), torchvision's class, 400 logits. Its batch normalizations are folded
    into the convolutions before them. 130 MB.

Convolutions and dense layers begin as He et al. (ICCV 2015) propose, from a fixed seed. The batch normalizations of r3d_18 have
the statistics of two clips of noise, so that residual sums do not grow with depth. A layer of the card has its module's name,
such as rgb.conv5_3 or layer4.1. --check compares the logits of the files with PyTorch's.
"""

import argparse
import warnings
from collections import OrderedDict
from pathlib import Path

import onnx
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SEED = 5
OPSET = 17
# Number of convolutions and channels in each block of VGG-16 (Simonyan & Zisserman, ICLR 2015, table 1, D).
VGG16 = [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]
FIELDS = 10
# Number of classes of UCF101 and of Kinetics-400.
UCF101, KINETICS = 101, 400
# Largest difference of logits from PyTorch's, relative to the largest logit.
TOLERANCE = 1e-4

IMAGENET = """mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
"""
TWO_STREAM_CARD = f"""[[input]]
name = "rgb"
kind = "image"
size = [224, 224]
order = "rgb"
range = 1.0
{IMAGENET}
[[input]]
name = "flow"
kind = "flow"
size = [224, 224]
frames = {FIELDS}
range = 20.0
"""
R3D_CARD = f"""[[input]]
name = "clip"
kind = "clip"
size = [112, 112]
frames = 16
order = "rgb"
range = 1.0
{IMAGENET}"""


def trunk(channels):
    """Returns VGG-16 from an input of `channels` to relu5_3: [N,channels,224,224] -> [N,512,14,14]."""
    layers = OrderedDict()
    for block, (convolutions, width) in enumerate(VGG16, 1):
        for i in range(1, convolutions + 1):
            layers[f"conv{block}_{i}"] = nn.Conv2d(channels, width, 3, padding=1)
            layers[f"relu{block}_{i}"] = nn.ReLU(inplace=True)
            channels = width
        if block < len(VGG16):
            layers[f"pool{block}"] = nn.MaxPool2d(2)
    return nn.Sequential(layers)


class TwoStream(nn.Module):
    """The two-stream VGG-16 with convolutional fusion. `fused` ends at conv5_fusion, before its ReLU."""

    def __init__(self):
        super().__init__()
        self.rgb, self.flow = trunk(3), trunk(2 * FIELDS)
        self.conv5_fusion = nn.Conv2d(1024, 512, 3, padding=1)
        self.relu5_fusion = nn.ReLU(inplace=True)
        self.pool5 = nn.MaxPool2d(2)
        self.fc6, self.relu6 = nn.Linear(512 * 7 * 7, 4096), nn.ReLU(inplace=True)
        self.fc7, self.relu7 = nn.Linear(4096, 4096), nn.ReLU(inplace=True)
        self.fc8 = nn.Linear(4096, UCF101)

    def fused(self, rgb, flow):
        return self.conv5_fusion(torch.cat([self.rgb(rgb), self.flow(flow)], 1))

    def forward(self, rgb, flow):
        pooled = self.pool5(self.relu5_fusion(self.fused(rgb, flow)))
        return self.fc8(self.relu7(self.fc7(self.relu6(self.fc6(pooled.flatten(1))))))


def initialise(network):
    """Initialises weights by He et al. 2015, equation 10, for every convolution and dense layer, and sets biases
    to zero."""
    for module in network.modules():
        if isinstance(module, (nn.modules.conv._ConvNd, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def fold(network):
    """Folds every batch normalization of `network` into the convolution before it, in place."""
    for module in network.modules():
        children = list(module.named_children())
        for (name, first), (other, second) in zip(children, children[1:]):
            if isinstance(first, nn.modules.conv._ConvNd) and isinstance(second, nn.BatchNorm3d):
                setattr(module, name, fuse_conv_bn_eval(first, second))
                setattr(module, other, nn.Identity())
    return network


def r3d_18():
    """Returns torchvision's R3D-18 in evaluation mode with folded batch normalisations; weights are not set here."""
    from torchvision.models.video import r3d_18 as build

    return fold(build(weights=None).eval())


def make_two_stream():
    torch.manual_seed(SEED)
    network = TwoStream().eval()
    initialise(network)
    return network, (torch.randn(1, 3, 224, 224), torch.randn(1, 2 * FIELDS, 224, 224).clamp(-1, 1))


def make_r3d_18():
    from torchvision.models.video import r3d_18 as build

    torch.manual_seed(SEED)
    network = build(weights=None, num_classes=KINETICS)
    initialise(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            # A momentum of None takes cumulative means, so the statistics are those of the noise alone.
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(2, 3, 16, 112, 112))
    return fold(network.eval()), (torch.randn(1, 3, 16, 112, 112),)


def layers_of(graph, modules):
    """Returns {module: tensor}: the output of the last node of each PyTorch module that has a node in the graph."""
    found = {}
    for node in graph.node:
        # A node is named /path/of/module/Operator. A child of a Sequential repeats its name: /layer1/layer1.0/conv1.
        path, before = [], ""
        for part in node.name.strip("/").split("/")[:-1]:
            path.append(part.removeprefix(f"{before}."))
            before = part
            if ".".join(path) in modules:
                found[".".join(path)] = node.output[0]
    return found


def export(network, inputs, names, card, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, inputs, str(path), input_names=names, output_names=["logits"], opset_version=OPSET,
                          dynamic_axes={name: {0: "N"} for name in [*names, "logits"]}, dynamo=False)
    graph = onnx.load(path, load_external_data=False).graph
    found = layers_of(graph, dict(network.named_modules()))
    layers = "".join(f'"{layer}" = "{tensor}"\n' for layer, tensor in found.items())
    path.with_suffix(".toml").write_text(f'name = "{path.stem}, random weights"\n\n{card}\n[layers]\n{layers}')
    torch.save(network.state_dict(), path.with_suffix(".pt"))


def check(network, inputs, names, path):
    """Returns the largest difference of ONNX Runtime's and PyTorch's logits, relative to the largest logit."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = torch.from_numpy(session.run(["logits"], {n: x.numpy() for n, x in zip(names, inputs)})[0])
    with torch.no_grad():
        wanted = network(*inputs)
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


NETWORKS = {
    "two_stream_vgg16": (make_two_stream, ["rgb", "flow"], TWO_STREAM_CARD),
    "r3d_18": (make_r3d_18, ["clip"], R3D_CARD),
}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--out", type=Path, default=Path("target/video-networks"))
    a.add_argument("--only", choices=NETWORKS, action="append")
    a.add_argument("--check", action="store_true")
    o = a.parse_args()
    o.out.mkdir(parents=True, exist_ok=True)
    for name in o.only or NETWORKS:
        make, names, card = NETWORKS[name]
        path = o.out / f"{name}.onnx"
        network, inputs = make()
        export(network, inputs, names, card, path)
        print(f"{path}: {path.stat().st_size / 1e6:.0f} MB", flush=True)
        if o.check:
            error = check(network, inputs, names, path)
            print(f"{name}: ONNX Runtime differs from PyTorch by {error:.1e} of the largest logit")
            if not error < TOLERANCE:
                raise SystemExit(f"{name}: the file does not compute what PyTorch does")


if __name__ == "__main__":
    main()
