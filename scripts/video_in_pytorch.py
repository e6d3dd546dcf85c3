"""Optimises inputs of the networks of `make_video_networks.py` in PyTorch, as `compare_video.py` asks over standard input.

    python scripts/video_in_pytorch.py two_stream_vgg16 --networks target/video-networks --layout channels_last

Each line of input is "bench N" or "steps N". The answer is one line of JSON: "seconds" of each of N passes or steps, the "cpu"
seconds of all threads per pass or step, and "peak_bytes", the largest resident size of this process so far. A pass is the
forward pass and the input gradient of the mean of channel 5 of the unit's layer, conv5_fusion or layer4. The process keeps its
state between lines, so that it can take turns with another.

two_stream_vgg16: a step of spatiotemporal activation maximisation (Feichtenhofer et al., IJCV 2020, §3) for the sum of channel 5
    of conv5_fusion, by both inputs at once. Units are levels of 255 less the mean; flow of the card's range is 127.5. Each step
    takes a random crop of a canvas that is 15 pixels larger (jitter by the stride, 16), adds the norm with α = 3 and the total
    variation in space and time, moves by Adam at a rate that falls as a cosine, and projects every pixel to a norm of 160.
r3d_18, recipe "published": stage 1 of Li & Li, "Feature Visualization in 3D Convolutional Neural Networks" (arXiv 2505.07387,
    2025), for the mean of channel 5 of layer4. Their program 3DKernelVisualizer takes pixels from N(0, .01²), decorrelated
    colours and a sigmoid, a random shift of 0–7 pixels and 0–3 frames with a scale of .9–1.1 in one trilinear warp, and Adam at
    .05. It enlarges clips to 32×224×224 for its networks; here they have the network's own size.
r3d_18, recipe "penalised": a random clip, random shifts, total variation in space and time, the L2 norm, and Adam at .1.

Convolution weights need no gradients. Everything is float32, eager, on the CPU.
"""

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

# PyTorch reads this variable when imported. Waiting threads would otherwise spin while oneiro is measured.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch.nn import functional as F

from make_video_networks import FIELDS, TwoStream, r3d_18

CHANNEL = 5
SEED = 0
# Constants of Feichtenhofer et al. 2020, §3.2 and §4: B, α, γ, and the factor of total variation for motion; V = B/6.5.
BOUND, ALPHA, GAMMA, MOTION_TV = 160.0, 3.0, 1.0, 10.0
VARIATION = BOUND / 6.5
# Weight of the unit, and scale of the start, from the code of Mahendran & Vedaldi (IJCV 2016).
UNIT_WEIGHT, START = 1e4, 80 / math.sqrt(3)
# Stride and receptive field of conv5_fusion: 196 for conv5_3, plus one more 3×3 convolution.
STRIDE, FIELD = 16, 228
# Learning rate and steps of oneiro's preset, because the paper gives neither.
RATE, STEPS = 4.0, 300
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
# Colour correlation of Lucid, divided by its largest column norm.
COLOUR = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
COLOUR = COLOUR / COLOUR.norm(dim=0).max()
LAYOUTS = {
    "two_stream_vgg16": {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last},
    "r3d_18": {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last_3d},
}


class TwoStreamSubject:
    """The two-stream network up to conv5_fusion, and the paper's optimisation of its inputs."""

    def __init__(self, weights, layout, _):
        with torch.device("meta"):
            self.network = TwoStream().eval()
        self.network.load_state_dict(torch.load(weights, mmap=True, weights_only=True), assign=True)
        self.network.requires_grad_(False).to(memory_format=layout)
        self.layout = layout
        side = 224 + STRIDE - 1
        self.inputs = [self.start(3, side), self.start(2 * FIELDS, side)]
        self.optimizer = torch.optim.Adam(self.inputs, lr=RATE, fused=True)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, STEPS)

    def start(self, channels, side):
        x = torch.empty(1, channels, side, side).uniform_(-1, 1)
        # The scale makes 95 % of |x| smaller than 0.95.
        return (x * (START / 0.95)).requires_grad_()

    def prepared(self, x):
        return x.contiguous(memory_format=self.layout)

    def bench(self):
        rgb, flow = (torch.randn(1, c, 224, 224) for c in (3, 2 * FIELDS))
        inputs = [self.prepared(x).requires_grad_() for x in (rgb, flow)]
        started = time.perf_counter()
        torch.autograd.grad(self.network.fused(*inputs)[:, CHANNEL].mean(), inputs)
        return time.perf_counter() - started

    def objective(self):
        y, x = torch.randint(0, STRIDE, (2,)).tolist()
        rgb, flow = (p[:, :, y : y + 224, x : x + 224] for p in self.inputs)
        fused = self.network.fused(self.prepared(rgb / (255 * STD.view(3, 1, 1))), self.prepared((flow / 127.5).clamp(-1, 1)))
        return UNIT_WEIGHT / FIELD**2 * fused[:, CHANNEL].sum()

    def penalty(self, x, components, factor):
        """Returns norm and total variation of one input, viewed as [frames, components, H, W], averaged over
        frames and pixels."""
        x = x.view(-1, components, *x.shape[2:])
        count = x.shape[0] * x.shape[2] * x.shape[3]
        norm = x.square().sum(1).pow(ALPHA / 2).sum() / BOUND**ALPHA
        variation = x.diff(dim=2).square().sum() + x.diff(dim=3).square().sum()
        if x.shape[0] > 1:
            variation = variation + GAMMA * x.diff(dim=0).square().sum()
        return (norm + factor / VARIATION**2 * variation) / count

    def step(self):
        started = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        rgb, flow = self.inputs
        (self.penalty(rgb, 3, 1.0) + self.penalty(flow, 2, MOTION_TV) - self.objective()).backward()
        self.optimizer.step()
        self.schedule.step()
        with torch.no_grad():
            for x, components in ((rgb, 3), (flow, 2)):
                pixels = x.view(-1, components, *x.shape[2:])
                norms = torch.linalg.vector_norm(pixels, dim=1, keepdim=True)
                pixels.mul_((BOUND / norms.clamp(min=1e-12)).clamp(max=1))
        return time.perf_counter() - started


class ClipSubject:
    """R3D-18 up to layer4, and two ways to optimise a clip."""

    def __init__(self, weights, layout, recipe):
        with torch.device("meta"):
            self.network = r3d_18()
        self.network.load_state_dict(torch.load(weights, mmap=True, weights_only=True), assign=True)
        self.network.requires_grad_(False).to(memory_format=layout)
        self.layout, self.recipe = layout, recipe
        self.clip = torch.randn(1, 3, 16, 112, 112).mul_(0.01).requires_grad_()
        rate = {"published": 0.05, "penalised": 0.1}[recipe]
        self.optimizer = torch.optim.Adam([self.clip], lr=rate, fused=True)

    def features(self, x):
        network, x = self.network, x.contiguous(memory_format=self.layout)
        return network.layer4(network.layer3(network.layer2(network.layer1(network.stem(x)))))

    def bench(self):
        x = torch.randn(1, 3, 16, 112, 112).contiguous(memory_format=self.layout).requires_grad_()
        started = time.perf_counter()
        torch.autograd.grad(self.features(x)[:, CHANNEL].mean(), x)
        return time.perf_counter() - started

    def seen(self):
        """Returns the clip after its random transform, in 0–1."""
        if self.recipe == "penalised":
            shifts = [int(torch.randint(-s, s + 1, ())) for s in (2, 8, 8)]
            return torch.sigmoid(self.clip).roll(shifts, (2, 3, 4))
        clip = torch.sigmoid(torch.einsum("oc,ncthw->nothw", COLOUR, self.clip))
        _, _, t, h, w = clip.shape
        shift = torch.stack([2 * torch.randint(0, most, ()) / n for most, n in ((8, w), (8, h), (4, t))])
        scale = 1 + (int(torch.randint(0, 11, ())) - 5) / 50
        grid = F.affine_grid(torch.cat([torch.eye(3) / scale, -shift[:, None]], 1)[None], clip.shape, align_corners=False)
        return F.grid_sample(clip, grid, align_corners=False)

    def penalty(self):
        if self.recipe == "published":
            return 0.0
        x = self.clip
        return 0.01 * sum(x.diff(dim=d).abs().mean() for d in (2, 3, 4)) + 0.001 * x.square().mean()

    def step(self):
        started = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        x = (self.seen() - MEAN.view(3, 1, 1, 1)) / STD.view(3, 1, 1, 1)
        (self.penalty() - self.features(x)[:, CHANNEL].mean()).backward()
        self.optimizer.step()
        return time.perf_counter() - started


SUBJECTS = {"two_stream_vgg16": TwoStreamSubject, "r3d_18": ClipSubject}


def peak_bytes():
    """Returns the largest memory (resident size) that this process has used, on Linux."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("network", choices=SUBJECTS)
    a.add_argument("--networks", type=Path, default=Path("target/video-networks"))
    a.add_argument("--layout", choices=("contiguous", "channels_last"), default="contiguous")
    a.add_argument("--recipe", choices=("published", "penalised"), default="published", help="for r3d_18")
    a.add_argument("--threads", type=int, default=os.cpu_count())
    o = a.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(SEED)
    subject = SUBJECTS[o.network](o.networks / f"{o.network}.pt", LAYOUTS[o.network][o.layout], o.recipe)
    calls = {"bench": subject.bench, "steps": subject.step}
    for line in sys.stdin:
        what, count = line.split()
        used = time.process_time()
        seconds = [calls[what]() for _ in range(int(count))]
        cpu = (time.process_time() - used) / len(seconds)
        print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_bytes": peak_bytes()}), flush=True)


if __name__ == "__main__":
    main()
