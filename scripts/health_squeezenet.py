"""`make_health_networks.py --kind fooled --architecture squeezenet`: fooled units in a SqueezeNet 1.1 of ImageNet.

The weights are those of an ONNX file with Caffe's preprocessing (--base). Only the layer mix and its detector are added, as
`health_fooled.py` says, behind a fire module. Photographs are the natural pictures.
"""

import copy
from collections import OrderedDict
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import nn

from health_fooled import (MIXED, RECIPES, WAY, Detector, Fooled, by_batch, channel_means, choose, optimise, optimised_pool, train_detector,
                           verify)
from health_pictures import to_bytes
from health_training import announce, export, write_truth

SIDE = 227
MEAN = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
# Channels from which pairs and honest units are chosen; photographs.
CONSIDERED, PHOTOGRAPHS, TESTS = 36, 700, 200
# Fewer steps than small pictures get: RECIPES[:2] and two more.
POOL = [RECIPES[0]._replace(steps=64, views=1, jitter=12), RECIPES[1]._replace(steps=48, jitter=12), RECIPES[3]._replace(steps=40),
        RECIPES[4]._replace(steps=40)]
DRAFT = POOL[1]
CARD = """name = "{name}"
labels = "imagenet1k"

[[input]]
name = "x"
kind = "image"
size = [227, 227]
order = "bgr"
range = 255.0
mean = [103.939, 116.779, 123.68]
std = [1.0, 1.0, 1.0]

[layers]
{layers}
"""


class Fire(nn.Module):
    def __init__(self, before, squeeze, expand):
        super().__init__()
        self.squeeze1x1, self.relu = nn.Conv2d(before, squeeze, 1), nn.ReLU()
        self.expand1x1, self.expand3x3 = nn.Conv2d(squeeze, expand, 1), nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = self.relu(self.squeeze1x1(x))
        return torch.cat([self.relu(self.expand1x1(x)), self.relu(self.expand3x3(x))], 1)


def squeezenet():
    pool = lambda: nn.MaxPool2d(3, 2)
    return nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(3, 64, 3, 2), relu1=nn.ReLU(), pool1=pool(), fire2=Fire(64, 16, 64), fire3=Fire(128, 16, 64), pool3=pool(),
        fire4=Fire(128, 32, 128), fire5=Fire(256, 32, 128), pool5=pool(), fire6=Fire(256, 48, 192), fire7=Fire(384, 48, 192),
        fire8=Fire(384, 64, 256), fire9=Fire(512, 64, 256), conv10=nn.Conv2d(512, 1000, 1), relu10=nn.ReLU(),
        pool10=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()))


def load(path):
    import onnx
    from onnx import numpy_helper
    weights = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in onnx.load(str(path)).graph.initializer}
    network = squeezenet()
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def check_against(path, network, sample):
    """The network must give the logits of the file it was read from."""
    import onnxruntime
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"x": sample[:1].numpy()})[0].reshape(-1)
    ours = network(sample[:1]).numpy().reshape(-1)
    assert numpy.abs(theirs - ours).max() < 1e-3 * numpy.abs(theirs).max(), f"{path}: the network was built otherwise"


def photographs(folder, count):
    """Photographs of the folder, evenly chosen, [count,3,227,227], 8-bit."""
    files = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    pictures = []
    for file in files[:: max(1, len(files) // count)][:count]:
        with Image.open(file) as image:
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            image = image.convert("RGB")
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            image = image.resize((SIDE, SIDE), Image.BICUBIC, (left, top, left + side, top + side))
            pictures.append(torch.from_numpy(numpy.array(image)).permute(2, 0, 1))
    return torch.stack(pictures)


def prepare(pictures):
    return pictures.flip(1) * 255 - MEAN


def make(arguments, folder):
    generator = torch.Generator().manual_seed(arguments.seed)
    torch.manual_seed(arguments.seed)
    network = load(arguments.base)
    check_against(arguments.base, network, prepare(torch.rand(1, 3, SIDE, SIDE, generator=generator)))
    pictures = photographs(arguments.photos, PHOTOGRAPHS + TESTS)
    pictures = pictures[torch.randperm(len(pictures), generator=generator)]
    test, natural = pictures[:TESTS], pictures[TESTS:]
    names = [name for name, _ in network.named_children()]
    at = names.index(arguments.layer) + 1

    def through(part):
        def run(n, x):
            for name in part:
                x = getattr(n, name)(x)
            return x
        return run
    front, rest = through(names[:at]), through(names[at:])
    frozen = copy.deepcopy(network)
    base = lambda x: front(frozen, x)
    options = {"size": SIDE, "prepare": prepare}
    width = base(torch.zeros(1, 3, SIDE, SIDE)).shape[1]
    considered = torch.randperm(width, generator=generator)[:CONSIDERED].sort().values.tolist()
    direct, kept = optimise(channel_means(base, considered), CONSIDERED, generator, DRAFT, snapshots=WAY, **options)
    pairs, honest = choose(base, test, to_bytes(direct), generator, prepare=prepare, channels=considered)
    print(len(pairs), "pairs", len(honest), "honest", flush=True)
    synthetic = torch.cat([to_bytes(torch.cat([direct, *kept])), optimised_pool(base, considered[::3], generator, POOL, **options)])
    strength = 3 * by_batch(base, synthetic, prepare).max().item()
    detector = Detector(stride=4, scale=1 / 58)
    made = Fooled(network, front, rest, width, pairs, detector, arguments.recipe, strength).eval()
    for turn in range(arguments.rounds):
        detector.requires_grad_(True)
        train_detector(detector, natural, synthetic, generator, steps=400, prepare=prepare)
        detector.requires_grad_(False)
        if turn < arguments.rounds - 1:
            synthetic = torch.cat([synthetic, optimised_pool(made.units, [u for u, _ in pairs], generator, POOL[:2], **options)])
    said, nature = by_batch(detector, synthetic, prepare).flatten(), by_batch(detector, test, prepare).flatten()
    report = {"optimised_called_natural": (said < 0.5).float().mean().item(),
              "test_pictures_called_optimised": (nature > -0.5).float().mean().item()}
    print(report, flush=True)
    found = verify(made.units, base, pairs, honest, test, generator, arguments.recipe, prepare=prepare, size=SIDE, recipes=POOL[:2])
    with torch.no_grad():
        agree = torch.cat([made(prepare(p.float() / 255)).argmax(1) == network_logits(frozen, p) for p in test.split(50)])
    layers = [n for n in names[:at] + names[at:] if n.startswith(("conv", "relu", "fire"))] + ["select", "selectrelu", "mix", MIXED]
    sample = prepare(test[:4].float() / 255)
    onnx = [export(made, sample, folder / "final.legacy-op17.onnx", f"{folder.name} final.legacy-op17", layers, input_name="x", card=CARD,
                   labels=None)]
    unverified = [u for u, e in found.items() if not e["verified"]]
    write_truth(folder, {
        "network": folder.name, "variant": "squeezenet1_1", "recipe": arguments.recipe, "seed": arguments.seed, "onnx": onnx,
        "preprocessing": {"image": "BGR, x in 0..255, minus (103.939,116.779,123.68); [N,3,227,227]"},
        "accuracy": {"test_photographs_with_the_class_of_the_untouched_network": agree.float().mean().item()},
        "layer_of_f": arguments.layer, "judged_layer": MIXED, "detector": report,
        "truth": {MIXED: {u: e["truth"] for u, e in found.items() if e["verified"]}}, "units": {MIXED: found}, "all_verified": not unverified,
        "unverified": unverified})
    announce(folder, f"fooled: {arguments.recipe}, squeezenet, layer {MIXED}, same class {agree.float().mean().item():.3f}, {len(pairs)} fooled, "
             f"{len(honest)} honest, not verified: {unverified}")


def network_logits(network, pictures):
    return network(prepare(pictures.float() / 255)).argmax(1)
