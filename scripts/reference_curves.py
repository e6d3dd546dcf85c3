"""Renders in plain PyTorch what `crates/oneiro/tests/reference_curves.rs` renders with oneiro; stores the results.

    pip install torch onnx numpy safetensors
    python scripts/reference_curves.py

Recipes are written down here from their publications, in float64, on the embedded SqueezeNet 1.1: Lucid's Fourier space with
Adam, without and with its transforms; Conveiro's, by gradient descent; pixels by gradient descent with momentum; and a
natural pre-image (Mahendran & Vedaldi 2016). Stored are the start in 8 bits, the objective before each of 20 steps and the
picture after them, in `crates/oneiro/tests/data/reference_curves.safetensors`.

Random transforms are those that oneiro draws: its generator is written down here, too (`Stream`), and what was drawn is
stored, so that the test can tell another sequence from another picture.

A network of ReLUs and max-pooling has kinks: where the way leads closely past one, rounding decides on which side, and from
there on ways part. So each recipe runs again from starts that are a millionth off, some roundings of float32, and has to arrive at
the same place; stored is the first seed with which it does.
"""

import argparse
import itertools
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from torch_network import Network

ROOT = Path(__file__).resolve().parent.parent
SIZE, STEPS = 48, 20
CHANNEL, OTHER_CHANNEL, INVERTED = "channel(fire4.expand3x3,5)", "channel(fire5.expand1x1,7)", "fire3"
# A check that a case has no kinks: the offset of other starts (share of a pixel's value), their number, and their
# largest final distance (share of the objective, or of a pixel's range).
OFF, OTHERS, APART = 1e-6, 4, 5e-5
WORD, WIDE = (1 << 64) - 1, (1 << 128) - 1

# Colour correlation of Lucid (`lucid/optvis/param/color.py`), divided by its largest column norm.
COLORS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]], dtype=torch.float64)
COLORS = COLORS / COLORS.square().sum(0).sqrt().max()


class Stream:
    """oneiro's random numbers: PCG XSL RR 128/64 (O'Neill 2014), whose state and increment SplitMix64 derives."""

    GOLDEN = 0x9E3779B97F4A7C15
    MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645

    def __init__(self, seed, purpose, text):
        self.word = (self.identity(text, purpose) + self.GOLDEN) & WORD
        self.word = seed ^ self.split_mix()
        state, stream = ((self.split_mix() << 64) | self.split_mix() for _ in range(2))
        self.increment = ((stream << 1) | 1) & WIDE
        self.state = (state + self.increment) & WIDE
        self.advance()

    @staticmethod
    def identity(text, purpose):
        """Computes the 64-bit FNV-1a hash."""
        number = 0xCBF29CE484222325
        for byte in text.encode() + b"\0" + purpose.encode():
            number = ((number ^ byte) * 0x100000001B3) & WORD
        return number

    def split_mix(self):
        self.word = (self.word + self.GOLDEN) & WORD
        z = self.word
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
        return z ^ (z >> 31)

    def advance(self):
        self.state = (self.state * self.MULTIPLIER + self.increment) & WIDE

    def choice(self, options):
        """Draws an element of a list, or a whole number below `options`."""
        self.advance()
        folded, turn = (self.state >> 64) ^ (self.state & WORD), self.state >> 122
        bits = ((folded >> turn) | (folded << (64 - turn))) & WORD
        if isinstance(options, int):
            return (bits * options) >> 64
        return options[(bits * len(options)) >> 64]


def fourier_scale(divisor):
    y, x = np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None]
    return torch.from_numpy(SIZE / np.maximum(np.hypot(y, x), 1 / SIZE) / divisor)


class Fourier:
    """A half spectrum as parameters, (re, im) last: the picture is sigmoid(colours(irfft2(scale * spectrum) /
    divisor))."""

    def __init__(self, divisor):
        self.scale = fourier_scale(divisor)

    def start(self, image):
        planes = torch.einsum("ij,jyx->iyx", torch.linalg.inv(COLORS), torch.logit(image))
        return torch.view_as_real(torch.fft.rfft2(planes) / self.scale)

    def image(self, params):
        planes = torch.fft.irfft2(self.scale * torch.view_as_complex(params), s=(SIZE, SIZE))
        return torch.sigmoid(torch.einsum("ij,jyx->iyx", COLORS, planes))


class SigmoidPixels:
    start = staticmethod(torch.logit)
    image = staticmethod(torch.sigmoid)


def jitter(x, draws, stream, pixels):
    """Cuts off this many rows and columns in total, divided at random between the two sides."""
    top, left = stream.choice(pixels + 1), stream.choice(pixels + 1)
    draws += [top, left]
    return x[:, :, top:x.shape[2] - (pixels - top), left:x.shape[3] - (pixels - left)]


def roll(x, draws, stream, pixels):
    shift = [stream.choice(2 * pixels + 1) - pixels for _ in range(2)]
    draws += shift
    return x.roll(shift, (2, 3))


def scale(x, draws, stream, factors):
    factor = stream.choice(factors)
    draws.append(factor)
    to = [math.floor(n * factor + 0.5) for n in x.shape[2:]]
    return F.interpolate(x, size=to, mode="bilinear", align_corners=False)


def rotate(x, draws, stream, degrees):
    """Rotates counter-clockwise about the centre; pixels from outside are zero."""
    angle = stream.choice(degrees)
    draws.append(angle)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    height, width = x.shape[2:]
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    dy, dx = torch.meshgrid(torch.arange(height) - middle_y, torch.arange(width) - middle_x, indexing="ij")
    # y points down, so this is the source of a counter-clockwise turn. grid_sample counts from -1 to 1 between the edge
    # pixels' centres.
    from_y, from_x = cos * dy + sin * dx, cos * dx - sin * dy
    grid = torch.stack([from_x / middle_x, from_y / middle_y], -1)[None].to(x.dtype)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def crop(x):
    top, left = ((n - SIZE) // 2 for n in x.shape[2:])
    return x[:, :, top:top + SIZE, left:left + SIZE]


def lucid_transforms(x, draws, stream):
    """`lucid/optvis/transform.py`, `standard_transforms`. All of these keep what is constant, so that zeros are middle grey."""
    x = jitter(F.pad(x - 0.5, (12,) * 4), draws, stream, 8)
    x = scale(x, draws, stream, [(90 + 2 * k) / 100 for k in range(11)])
    x = rotate(x, draws, stream, [*range(-10, 11), 0, 0, 0, 0, 0])
    return crop(jitter(x, draws, stream, 4)) + 0.5


def conveiro_transforms(mean):
    def transforms(x, draws, stream):
        x = roll(F.pad(x - mean, (16,) * 4), draws, stream, 16)
        x = scale(x, draws, stream, [1.0, 0.975, 1.025, 0.95, 1.05])
        x = rotate(x, draws, stream, list(range(-5, 6)))
        return crop(roll(x, draws, stream, 8)) + mean

    return transforms


def ascend(param, start, optimizer, objective, transforms=None, stream=None):
    """Returns the objective before each step, the last picture, and the random numbers drawn in each step, if any."""
    params = param.start(start).requires_grad_(True)
    optimizer = optimizer([params])
    curve, drawn = [], []
    for _ in range(STEPS):
        image, draws = param.image(params)[None], []
        value = objective(transforms(image, draws, stream) if transforms else image)
        curve.append(value.item())
        drawn.append(draws)
        optimizer.zero_grad()
        (-value).backward()
        optimizer.step()
    return curve, param.image(params).detach(), drawn if transforms else None


def pre_image(network, start, target):
    """Optimises by Mahendran & Vedaldi 2016, section 4, without jitter: pixels of 0-255 minus the mean colour."""
    mean = network.mean_color()
    see = lambda x: network.layer(INVERTED, network.prepared(x / 255 + mean))
    features = see((target[None] - mean) * 255)
    energy, pixels = features.square().sum(), SIZE * SIZE
    x = (start[None] - mean) * 255
    squares, velocity = torch.zeros_like(x), torch.zeros_like(x)
    rate, curve = pixels * 0.05 * 80**2 / 6, []
    for _ in range(STEPS):
        x.requires_grad_(True)
        distance = (see(x) - features).square().sum() / energy
        curve.append(-distance.item())
        # The regularizers with α = 6 and β = 2.
        bright = x.square().sum(1).pow(3).sum() / pixels / 80**6
        rough = (x.diff(dim=2).square().sum() + x.diff(dim=3).square().sum()) / pixels / (80 / 6.5) ** 2
        (gradient,) = torch.autograd.grad(100 * distance + bright + rough, x)
        with torch.no_grad():
            squares = 0.9 * squares + gradient.square()
            velocity = 0.9 * velocity - gradient / (1 / rate + squares.sqrt())
            x = x + velocity
            x = x * (160 / x.square().sum(1, keepdim=True).sqrt()).clamp(max=1)
    return curve, (x / 255 + mean)[0].detach(), None


def channel(network, text):
    layer, index = text.removeprefix("channel(").removesuffix(")").split(",")
    return lambda image: network.layer(layer, network.prepared(image))[:, int(index)].mean()


def photograph(seed):
    """Returns an 8-bit picture with the spectrum and the colours of photographs."""
    random = torch.Generator().manual_seed(seed)
    spectrum = torch.randn(3, SIZE, SIZE // 2 + 1, 2, generator=random)
    return (Fourier(divisor=4).image(0.5 * spectrum) * 255).round().to(torch.uint8)


def noise(seed):
    """Returns a random picture, some of whose pixels are farther from the mean colour than the bound of 160."""
    return torch.randint(0, 256, (3, SIZE, SIZE), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def distance(one, other):
    """Returns the distance of two optimisations: of their curves in values, of their pictures in pixels."""
    (curve, image), (other_curve, other_image) = ((torch.tensor(r[0]), r[1]) for r in (one, other))
    return max(((other_curve - curve).abs() / curve.abs()).max().item(), (other_image - image).abs().max().item())


def steady(name, start, render):
    """Returns the arrays to store for the first seed whose optimisation meets no kink; `render` takes a start and
    the seed."""
    for seed in itertools.count():
        levels = start(seed)
        # Rounded to float32, because oneiro reads the start in float32.
        picture = (levels.float() / 255).double()
        result = render(picture, seed)
        random = torch.Generator().manual_seed(seed)
        apart = 0
        for _ in range(OTHERS):
            if apart < APART:
                beside = picture * (1 + OFF * torch.randn(picture.shape, generator=random))
                apart = max(apart, distance(result, render(beside, seed)))
        print(f"{name:16s} seed {seed}: from {OFF} beside {apart:.1e} apart", flush=True)
        if apart < APART:
            curve, image, drawn = result
            print(f"{name:16s} {curve[0]:.4f} -> {curve[-1]:.4f}; pixels {image.min():.3f} to {image.max():.3f}, "
                  f"{(image - picture).abs().mean():.3f} from the start")
            stored = {"start": levels, "seed": torch.tensor([float(seed)]), "curve": torch.tensor(curve),
                      "image": image.float()}
            if drawn:
                stored["draws"] = torch.tensor(drawn)
            return {f"{name}/{key}": value for key, value in stored.items()}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--out", type=Path, default=ROOT / "crates/oneiro/tests/data/reference_curves.safetensors")
    o = a.parse_args()
    torch.set_default_dtype(torch.float64)
    network = Network(ROOT / "crates/oneiro-zoo/assets/squeezenet1_1.onnx")
    adam = lambda params: torch.optim.Adam(params, lr=0.05)
    descent = lambda rate, momentum=0: lambda params: torch.optim.SGD(params, lr=rate, momentum=momentum)

    def climb(name, param, optimizer, objective, transforms=None):
        target = channel(network, objective)
        render = lambda start, seed: ascend(param, start, optimizer, target, transforms, Stream(seed, "transforms", objective))
        return steady(name, photograph, render)

    target = photograph(0)
    stored = {"mahendran16/target": target}
    stored |= climb("lucid", Fourier(4), adam, CHANNEL)
    stored |= climb("pixel", SigmoidPixels, descent(0.02, 0.9), OTHER_CHANNEL)
    stored |= climb("lucid-transforms", Fourier(4), adam, CHANNEL, lucid_transforms)
    stored |= climb("conveiro", Fourier(1), descent(0.01), OTHER_CHANNEL, conveiro_transforms(network.mean_color()))
    target = (target.float() / 255).double()
    stored |= steady("mahendran16", noise, lambda start, _: pre_image(network, start, target))
    o.out.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"made by": "scripts/reference_curves.py", "torch": torch.__version__}
    save_file({name: t.contiguous() for name, t in stored.items()}, str(o.out), metadata)
    print(f"{o.out}: {o.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
