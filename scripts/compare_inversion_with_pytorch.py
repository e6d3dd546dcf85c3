"""Compares `oneiro invert` with the same method in PyTorch: errors of the features, and distance from the photo.

    pip install torch onnx numpy pillow
    python scripts/compare_inversion_with_pytorch.py vgg16.onnx photos/ --layers conv1_1,conv3_1,conv5_1 --size 112

The recipe is that of Mahendran & Vedaldi (IJCV 2016), the preset `mahendran16`, in plain PyTorch (`invert` below), from
noise of its own: what is compared is where both arrive, not the way. Of N photos that are evenly spaced in the sorted
folder, each layer is inverted by both. Relative errors are ||F(x) - F0|| / ||F0|| of the unclipped picture, PSNRs those of
the picture in 8 bits. Rows go to --csv as they come, and a run adds what is missing there.
"""

import argparse
import csv
import json
import math
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from torch_network import Network

# Constants of Mahendran & Vedaldi 2016: B, the typical norm of a pixel; B+, the largest; V, the typical difference; α
# and β.
TYPICAL, BOUND, TYPICAL_DIFFERENCE, ALPHA, BETA = 80.0, 160.0, 80.0 / 6.5, 6.0, 2.0
# Decay of the accumulated squared gradients, and momentum.
DECAY, MOMENTUM = 0.9, 0.9
STEPS, LAST_STEPS, LAST_RATE = 300, 50, 0.1
FIELDS = ["photo", "layer", "size", "strength", "steps", "error_oneiro", "error_pytorch", "psnr_oneiro", "psnr_pytorch",
          "seconds_oneiro", "seconds_pytorch"]


def photo(path, size):
    """Reads a picture in 0-1, [1, 3, size, size]: its shorter side is scaled to `size`, then the centre is cropped."""
    image = torch.from_numpy(np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255).permute(2, 0, 1)[None]
    scale = size / min(image.shape[2:])
    to = [max(size, round(n * scale)) for n in image.shape[2:]]
    image = F.interpolate(image, size=to, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
    top, left = ((n - size) // 2 for n in to)
    return image[:, :, top:top + size, left:left + size]


def regularizer(x):
    pixels = x.shape[2] * x.shape[3]
    norms = x.square().sum(1).pow(ALPHA / 2).sum() / pixels
    larger = F.pad(x, (0, 1, 0, 1), mode="replicate")
    right, down = larger.diff(dim=3)[:, :, :-1], larger.diff(dim=2)[:, :, :, :-1]
    rough = (right.square() + down.square()).pow(BETA / 2).sum() / pixels
    return norms / TYPICAL ** ALPHA + rough / TYPICAL_DIFFERENCE ** BETA


def invert(network, layer, target, strength, stride, generator, steps=STEPS, last_steps=LAST_STEPS):
    """Returns a picture in 0-1 whose features approximate `target`, and the relative error of its features."""
    mean = network.mean_color()
    see = lambda x: network.layer(layer, network.prepared(x / 255 + mean))
    with torch.no_grad():
        features = see((target - mean) * 255)
        energy = features.square().sum()
    height, width = target.shape[2:]
    jitter = max(math.floor(stride / 4 + 0.5), 1)
    margin = jitter - 1
    x = (2 * torch.rand(1, 3, height + margin, width + margin, generator=generator) - 1).to(target.device)
    x = x / x.flatten().quantile(0.95) * TYPICAL / math.sqrt(3)
    squares, velocity = torch.zeros_like(x), torch.zeros_like(x)
    rate = height * width * 0.05 * TYPICAL ** 2 / ALPHA
    middle = lambda x: x[:, :, margin // 2:margin // 2 + height, margin // 2:margin // 2 + width]
    for step in range(steps + last_steps):
        last = step >= steps
        x.requires_grad_(True)
        top, left = torch.randint(0, jitter, (2,), generator=generator).tolist()
        seen = middle(x) if last else x[:, :, top:top + height, left:left + width]
        loss = strength * (see(seen) - features).square().sum() / energy + regularizer(x)
        (gradient,) = torch.autograd.grad(loss, x)
        with torch.no_grad():
            squares = DECAY * squares + gradient.square()
            velocity = MOMENTUM * velocity - gradient / (1 / (rate * (LAST_RATE if last else 1)) + squares.sqrt())
            x = x.detach() + velocity
            x = x * (BOUND / x.square().sum(1, keepdim=True).sqrt()).clamp(max=1)
    with torch.no_grad():
        x = middle(x)
        error = ((see(x) - features).square().sum() / energy).sqrt().item()
        return x / 255 + mean, error


def psnr(image, target):
    levels = (image.clamp(0, 1) * 255).round() / 255
    return -10 * math.log10((levels - target).double().square().mean().item())


def sheet(images, path):
    rows = [torch.cat([image[0].clamp(0, 1) for image in row], 2) for row in images]
    pixels = (torch.cat(rows, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    Image.fromarray(pixels).save(path)


def oneiro(binary, model, path, layer, size, strength, threads, more):
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "invert", model, str(path), "--layer", layer, "--size", str(size), "--strength", str(strength),
                   "--threads", str(threads), "--json", "--no-config", "--quiet", "--out", f"{folder}/sheet.png", *more]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    (unit,) = json.loads(result.stdout)["units"]
    return unit["relative_error"], unit["psnr"]


def strides(binary, model):
    """Returns the accumulated stride of every layer, as `oneiro layers` lists it."""
    listed = json.loads(subprocess.run([binary, "layers", model, "--json"], capture_output=True, text=True, check=True).stdout)
    return {layer["name"]: max(max(s) for s in layer["stride"].values()) for layer in listed}


def table(rows, layers):
    print(f"{'layer':10s} {'photos':>6s} {'error: oneiro':>14s} {'PyTorch':>8s} {'ratio':>6s} {'PSNR: oneiro':>13s} {'PyTorch':>8s}")
    for layer in layers:
        of = [r for r in rows if r["layer"] == layer]
        if of:
            mean = lambda key: float(np.mean([float(r[key]) for r in of]))
            ours, theirs = mean("error_oneiro"), mean("error_pytorch")
            print(f"{layer:10s} {len(of):6d} {ours:14.4f} {theirs:8.4f} {ours / theirs:6.3f} {mean('psnr_oneiro'):13.2f}"
                  f" {mean('psnr_pytorch'):8.2f}")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model")
    a.add_argument("photos", type=Path)
    a.add_argument("--oneiro", default="target/release/oneiro")
    a.add_argument("--layers", default="conv1_1,conv2_1,conv3_1,conv4_1,conv5_1")
    a.add_argument("--count", type=int, default=20, help="photos, evenly spaced in the sorted folder")
    a.add_argument("--size", type=int, default=224)
    a.add_argument("--strength", type=float, default=100)
    a.add_argument("--threads", type=int, default=torch.get_num_threads())
    a.add_argument("--device", default="cpu", help="where PyTorch computes")
    a.add_argument("--part", default="0/1", help="K/N: every Nth photo from the Kth on, to divide the work")
    a.add_argument("--csv", type=Path, default=Path("inversion-pytorch.csv"))
    a.add_argument("--sheet", help="a picture of PyTorch's results: a row a photo, the photo first")
    a.add_argument("--seconds", type=float, default=math.inf, help="begin no further photo after this time")
    a.add_argument("more", nargs="*", help="further flags of oneiro invert, after --")
    o = a.parse_args()
    torch.set_num_threads(o.threads)
    torch.backends.cudnn.allow_tf32 = False
    network = Network(o.model, dtype=torch.float32, device=o.device)
    files = sorted(p for p in o.photos.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    files = [files[i * len(files) // o.count] for i in range(o.count)]
    part, parts = map(int, o.part.split("/"))
    files = files[part::parts]
    stride = strides(o.oneiro, o.model)
    layers = o.layers.split(",")
    key = lambda r: (r["photo"], r["layer"], int(r["size"]), float(r["strength"]))
    rows = list(csv.DictReader(o.csv.open())) if o.csv.exists() else []
    known = {key(r) for r in rows}
    started = time.perf_counter()
    with o.csv.open("a", newline="") as out:
        writer = csv.DictWriter(out, FIELDS)
        if not rows:
            writer.writeheader()
        pictures = []
        for file in files:
            if time.perf_counter() - started > o.seconds:
                break
            target = photo(file, o.size).to(o.device)
            pictures.append([target])
            for layer in layers:
                if (file.name, layer, o.size, o.strength) in known:
                    continue
                begun = time.perf_counter()
                ours = oneiro(o.oneiro, o.model, file, layer, o.size, o.strength, o.threads, o.more)
                between = time.perf_counter()
                image, error = invert(network, layer, target, o.strength, stride[layer], torch.Generator().manual_seed(0))
                ended = time.perf_counter()
                row = dict(zip(FIELDS, [file.name, layer, o.size, o.strength, STEPS + LAST_STEPS, ours[0], error, ours[1],
                                        psnr(image, target), between - begun, ended - between]))
                writer.writerow(row)
                out.flush()
                rows.append(row)
                pictures[-1].append(image)
    table([r for r in rows if int(r["size"]) == o.size and float(r["strength"]) == o.strength], layers)
    if o.sheet:
        sheet([row for row in pictures if len(row) == len(layers) + 1], o.sheet)


if __name__ == "__main__":
    main()
