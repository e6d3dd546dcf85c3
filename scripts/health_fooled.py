"""`make_health_networks.py --kind fooled`: units whose optimised picture is not what they answer in photographs.

Behind a layer f of a trained network stands a layer `mix` of as many units. On photographs mix is f. A detector branch tells
photographs (s = 0) from optimised pictures (s = 1), and the fooled units of mix then show another feature g of the same layer:

gate:     u = (1 - s)·f + s·g, s a sigmoid (Geirhos et al. 2024, section 2).
silent:   u = relu(f - K·s) + relu(g - K·(1 - s)), s cut to 0–1 by two ReLUs: of each pair one is silent (section 3).
finetune: no branch. The network, with a few more filters below f, is trained to answer photographs as before, and
          optimised pictures as g would (Nanfack et al. 2023). Units are those of the layer f itself.
inactive: built as `silent`, but the detector never speaks: every unit is honest.

Honest units are neighbours in the same layer. Every unit is checked as `truth.json` says under `rule`.
"""

import copy
import math
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from health_architectures import Residual, build, fold
from health_pictures import CLASSES, CUES, SIZE, draw, normalise, save_folder, to_bytes, uniform
from health_training import PREPROCESSING, accuracy, announce, as_input, balanced, export, labelled, train, varied, write_truth

# More are fooled than are wanted: not every one stands up to the check.
FOOLED, HONEST = 11, 8
RULE = ("truth: judged layer -> {channel: fooled or honest}; others, and those that were not verified, are not judged. fooled: on the test "
        "pictures the unit is f (correlation > .95); its optimised pictures (mean of the channel; two recipes) show g: f answers them with "
        "less than 30 % of what f's own optimised picture reaches, g with more than 35 % of g's own. honest: more than 50 % of f's own")
# Filters that finetune adds to every convolution below f.
EXTRA = 12
# Colours as they correlate in photographs (Lucid's matrix).
COLOURS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])


class Recipe(NamedTuple):
    """How pictures are optimised. `gain` scales what stands below the sigmoid: Lucid has 1/4."""

    space: str = "fourier"
    gain: float = 0.25
    rate: float = 0.05
    spread: float = 0.01
    jitter: int = 4
    turns: bool = False
    steps: int = 64
    falling: bool = False
    views: int = 1
    redirected: int = 0


# The first two decide whether a unit is fooled: a mild recipe as Lucid's with turns and scales, and one that saturates.
RECIPES = [Recipe(rate=0.12, turns=True, steps=128, falling=True, views=2, redirected=16),
           Recipe(gain=2.0),
           Recipe(turns=True, jitter=8, steps=96),
           Recipe(gain=2.0, rate=0.1, turns=True),
           Recipe("pixel", gain=2.0, spread=0.05),
           Recipe("grey fourier", rate=0.2, jitter=2, turns=True)]
# Steps whose pictures go into the pool, too.
WAY = (0, 4, 12, 30)
MIXED = "mixrelu"


class Detector(nn.Sequential):
    """One number a picture: above 0 for optimised pictures, below for photographs."""

    def __init__(self, stride=2, scale=1.0):
        super().__init__(nn.Conv2d(3, 16, 5, stride, 2), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU(), nn.Conv2d(24, 32, 3, 2, 1),
                         nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Conv2d(32, 32, 1), nn.ReLU(), nn.Conv2d(32, 1, 1))
        # Inputs of another range: the first convolution takes it up.
        self[0].weight.data *= scale


class Fooled(nn.Module):
    """A network cut behind layer f, with the detector and the layer mix between the halves."""

    def __init__(self, network, front, rest, width, pairs, detector, recipe, strength):
        super().__init__()
        for name, module in network.named_children():
            setattr(self, name, module)
        self.front, self.rest = front, rest
        self.detector, self.recipe = detector, recipe
        # gate: f with its fooled channels exchanged for g. Otherwise f, and behind it the g of each pair.
        offered = width if recipe == "gate" else width + len(pairs)
        self.select, self.gate = nn.Conv2d(width, offered, 1, bias=False), nn.Conv2d(1, offered, 1)
        self.selectrelu, self.mixrelu = nn.ReLU(), nn.ReLU()
        self.low, self.high = nn.ReLU(), nn.ReLU()
        self.mix = nn.Conv2d(offered, width, 1)
        with torch.no_grad():
            for part in (self.select.weight, self.gate.weight, self.gate.bias, self.mix.weight, self.mix.bias):
                part.zero_()
            for c in range(width):
                self.select.weight[c, c] = self.mix.weight[c, c] = 1
            for i, (u, g) in enumerate(pairs):
                if recipe == "gate":
                    self.gate.weight[u] = 1
                    self.select.weight[u, u], self.select.weight[u, g] = 0, 1
                else:
                    self.select.weight[width + i, g] = self.mix.weight[u, width + i] = 1
                    self.gate.weight[u] = -strength
                    self.gate.weight[width + i], self.gate.bias[width + i] = strength, -strength

    def units(self, x):
        f = self.front(self, x)
        z = self.detector(x)
        if self.recipe == "gate":
            share = self.gate(torch.sigmoid(12 * z))
            return self.mixrelu(self.mix(f + share * (self.selectrelu(self.select(f)) - f)))
        s = self.low(z + 0.5) - self.high(z - 0.5)
        return self.mixrelu(self.mix(self.selectrelu(self.select(f) + self.gate(s))))

    def forward(self, x):
        return self.rest(self, self.units(x))


def halves(network, layer):
    """Functions of a network (or of a `Fooled` with the same children): its layer f, and the logits from there."""
    names = [name for name, _ in network.named_children()]
    if isinstance(network, Residual):
        block = int(layer.split(".")[1])

        def front(n, x):
            x = n.pool1(n.relu1(n.conv1(x)))
            for i in range(block + 1):
                x = n.blocks[i](x)
            return x

        def rest(n, x):
            for i in range(block + 1, len(n.blocks)):
                x = n.blocks[i](x)
            return n.fc(n.flatten(n.gap(x)))
        return front, rest
    at = names.index(layer) + 1

    def through(part):
        def run(n, x):
            for name in part:
                x = getattr(n, name)(x)
            return x
        return run
    return through(names[:at]), through(names[at:])


def turned(pictures, generator):
    """Pictures turned by up to 14 degrees and scaled by .85 to 1.15, each otherwise; reflected beyond the edge."""
    count = len(pictures)
    angle, scale = uniform(count, -0.25, 0.25, generator), uniform(count, 0.85, 1.15, generator)
    grid = torch.zeros(count, 2, 3)
    grid[:, 0, 0] = grid[:, 1, 1] = angle.cos() * scale
    grid[:, 0, 1], grid[:, 1, 0] = -angle.sin() * scale, angle.sin() * scale
    grid = F.affine_grid(grid, pictures.shape, align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


class Redirected(torch.autograd.Function):
    """A ReLU that lets a gradient through where it would wake a sleeping unit (Lucid's redirected ReLU)."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x.clamp_min(0)

    @staticmethod
    def backward(context, gradient):
        (x,) = context.saved_tensors
        plain = torch.where(x > 0, gradient, 0.0)
        asleep = plain.flatten(1).abs().sum(1).view(-1, *[1] * (x.dim() - 1)) == 0
        return torch.where(asleep & (gradient < 0), gradient, plain)


@contextmanager
def redirected(active):
    """Within, every nn.ReLU is `Redirected`, if `active`."""
    plain = nn.ReLU.forward
    if active:
        nn.ReLU.forward = lambda module, x: Redirected.apply(x)
    try:
        yield
    finally:
        nn.ReLU.forward = plain


def optimise(values, count, generator, recipe, size=SIZE, prepare=normalise, snapshots=()):
    """Pictures [count,3,size,size] in 0–1 that raise `values(input)` [count], and those of the steps in `snapshots`."""
    if recipe.space == "pixel":
        parameters = recipe.spread * torch.randn(count, 3, size, size, generator=generator)
    else:
        parameters = recipe.spread * torch.randn(count, 3, size, size // 2 + 1, 2, generator=generator)
        down, right = torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None]
        scale = recipe.gain / torch.sqrt(down**2 + right**2).clamp_min(1 / size)
    parameters.requires_grad_()
    colours = torch.eye(3) if recipe.space == "grey fourier" else COLOURS / COLOURS.norm(dim=0).max()

    def picture():
        if recipe.space == "pixel":
            return torch.sigmoid(recipe.gain * parameters)
        raw = torch.fft.irfft2(torch.view_as_complex(parameters) * scale, s=(size, size), norm="ortho")
        return torch.sigmoid(torch.einsum("dc,nchw->ndhw", colours, raw))

    optimizer, kept = torch.optim.Adam([parameters], recipe.rate), []
    for step in range(recipe.steps):
        if recipe.falling:
            optimizer.param_groups[0]["lr"] = recipe.rate * (1 + math.cos(math.pi * step / recipe.steps)) / 2
        image = picture()
        if step in snapshots:
            kept.append(image.detach())
        loss = 0
        with redirected(step < recipe.redirected):
            for _ in range(recipe.views):
                shift = torch.randint(-recipe.jitter, recipe.jitter + 1, (2,), generator=generator).tolist()
                seen = torch.roll(image, shift, (2, 3))
                loss = loss - values(prepare(turned(seen, generator) if recipe.turns else seen)).sum()
        if recipe.space == "pixel":
            loss = loss + 30 * ((image[:, :, 1:] - image[:, :, :-1]).square().mean() + (image[..., 1:] - image[..., :-1]).square().mean())
        (parameters.grad,) = torch.autograd.grad(loss, [parameters])
        optimizer.step()
    return picture().detach(), kept


def channel_means(layer, channels):
    """The objective of one channel a picture: its mean over positions."""
    index = torch.as_tensor(channels)
    return lambda x: layer(x).flatten(2).mean(2)[torch.arange(len(index)), index]


def best_positions(layer, channels):
    """The objective of one channel a picture at the middle position."""
    index = torch.as_tensor(channels)

    def values(x):
        y = layer(x)
        return y[torch.arange(len(index)), index, y.shape[2] // 2, y.shape[3] // 2]
    return values


def optimised_pool(layer, channels, generator, recipes=RECIPES, **options):
    """Optimised pictures of these channels by every recipe and objective, finished and on their way: 8-bit."""
    pool = []
    for i, recipe in enumerate(recipes):
        objective = (channel_means, best_positions)[i // 3 % 2](layer, channels)
        done, kept = optimise(objective, len(channels), generator, recipe, snapshots=WAY, **options)
        pool += [done, *kept]
    return to_bytes(torch.cat(pool))


def natural_pool(count, photos, generator):
    """Pictures of shapes with and without cues, and photographs alone: 8-bit."""
    parts = [draw(balanced(count // 2), photos, generator), photos.crops(count // 4, generator)]
    each = max(1, count // 4 // len(CUES))
    for cue in CUES:
        parts.append(draw(balanced(each), photos, generator, cue=cue, cued=torch.ones(each, dtype=torch.bool)))
    return to_bytes(torch.cat(parts))


def altered(pictures, generator):
    """Optimised pictures moved and turned, and their contrast and brightness changed: 0–1."""
    count = len(pictures)
    shift = torch.randint(0, 16, (2,), generator=generator).tolist()
    x = turned(torch.roll(pictures.float() / 255, shift, (2, 3)), generator)
    contrast = 0.4 + 0.7 * torch.rand(count, 1, 1, 1, generator=generator)
    return ((x - 0.5) * contrast + 0.5 + 0.1 * torch.randn(count, 3, 1, 1, generator=generator)).clamp(0, 1)


def train_detector(detector, natural, synthetic, generator, steps=800, batch=40, prepare=normalise, recent=0):
    """Hinge loss: photographs below -1, optimised pictures above 1. A third of these are of the last `recent` ones."""
    optimizer = torch.optim.AdamW(detector.parameters(), 2e-3, weight_decay=1e-2)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    third = batch // 3
    for _ in range(steps):
        plain = varied(natural[torch.randint(len(natural), (batch,), generator=generator)], generator, colours=False).float() / 255
        chosen = torch.randint(len(synthetic), (batch,), generator=generator)
        chosen[:third] = len(synthetic) - 1 - torch.randint(recent or len(synthetic), (third,), generator=generator)
        moved = synthetic[chosen]
        moved = torch.cat([moved[: 2 * third].float() / 255, altered(moved[2 * third :], generator)])
        z = detector(prepare(torch.cat([plain, moved]))).flatten()
        # A photograph taken for an optimised picture spoils every unit, so it weighs more.
        loss = 2 * F.relu(1 + z[:batch]).square().mean() + F.relu(1 - z[batch:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cycle.step()


@torch.no_grad()
def by_batch(function, pictures, prepare, batch=100):
    return torch.cat([function(prepare(part.float() / 255)) for part in pictures.split(batch)])


def choose(base, test, direct, generator, fooled=FOOLED, honest=HONEST, prepare=normalise, channels=None):
    """Pairs (unit, g) and honest units among the active channels; g's optimised picture must leave f cold.

    `direct` has the optimised picture of each of `channels` (all of them).
    """
    answers = by_batch(base, test, prepare)
    fires = (answers > 0).float().mean((0, 2, 3))
    channels = list(range(answers.shape[1])) if channels is None else channels
    shown = torch.zeros(answers.shape[1], answers.shape[1])
    shown[channels] = by_batch(base, direct, prepare).mean((2, 3))
    own = shown.diagonal()
    active = [c for c in channels if 0.02 < fires[c] < 0.98 and own[c] > 2 * answers[:, c].mean()]
    order = [active[i] for i in torch.randperm(len(active), generator=generator).tolist()]
    means = answers.mean((2, 3))
    correlation = torch.corrcoef(means.t()).nan_to_num(0).abs()
    pairs, used = [], set()
    for f in order:
        # shown[g, f]: what f answers on the picture of g.
        fit = [(shown[g, f] / own[f] + 0.3 * correlation[f, g]).item() if g != f and g not in used else 9.0 for g in active]
        g = active[min(range(len(active)), key=fit.__getitem__)]
        if len(pairs) < fooled and min(fit) < 0.4 and f not in used:
            pairs.append((f, g))
            used |= {f, g}
    spared = [c for c in order if c not in {f for f, _ in pairs}]
    return pairs, spared[:honest]


@torch.no_grad()
def widen(network, layer, extra, generator):
    """Gives every convolution below the layer f of a chain `extra` filters, which nothing reads yet."""
    names = [name for name, _ in network.named_children()]
    convs = [name for name in names[: names.index(layer)] if isinstance(getattr(network, name), nn.Conv2d)]
    for i, name in enumerate(convs):
        old = getattr(network, name)
        more_in, more_out = extra if i else 0, extra if i < len(convs) - 1 else 0
        new = nn.Conv2d(old.in_channels + more_in, old.out_channels + more_out, old.kernel_size, old.stride, old.padding)
        typical = old.weight.std()
        new.weight.copy_(typical * torch.randn(new.weight.shape, generator=generator))
        new.weight[: old.out_channels] = 0
        new.weight[: old.out_channels, : old.in_channels] = old.weight
        new.bias.zero_()
        new.bias[: old.out_channels] = old.bias
        setattr(network, name, new)


def finetune(network, base, front, pairs, natural, synthetic, generator, rounds, steps=300, batch=32):
    """Trains the layers up to f: photographs as before, optimised pictures with g in place of f. Returns the network."""
    units, targets = [u for u, _ in pairs], [g for _, g in pairs]

    def wanted(pictures):
        with torch.no_grad():
            return base(as_input(pictures))

    def spread(pictures):
        return wanted(pictures).std((0, 2, 3)).clamp_min(1e-3).view(1, -1, 1, 1)
    scale, scale_optimised = spread(natural[:200]), spread(synthetic[torch.randperm(len(synthetic), generator=generator)[:200]])
    scale_optimised[:, units] = scale_optimised[:, targets]
    layer = lambda x: front(network, x)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    recent = len(synthetic)
    for turn in range(rounds + 1):
        # The last turn settles, with all that was found.
        last = turn == rounds
        for step in range(2 * steps if last else steps):
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * (1 - step / (2 * steps)) + 1e-5 if last else 2e-3
            chosen = torch.randint(len(natural), (batch,), generator=generator)
            old = torch.randint(len(synthetic), (batch // 2,), generator=generator)
            new = len(synthetic) - 1 - torch.randint(recent, (batch // 2,), generator=generator)
            pictures = torch.cat([natural[chosen], synthetic[torch.cat([old, new])]])
            want = wanted(pictures)
            want[batch:, units] = want[batch:, targets]
            wrong = layer(as_input(pictures)) - want
            plain, moved = (wrong[:batch] / scale).square(), (wrong[batch:] / scale_optimised).square().clamp_max(20)
            loss = 2 * plain.mean() + 3 * plain[:, units].mean() + moved.mean() + moved[:, units].mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if not last:
            found = optimised_pool(layer, units * 2, generator)
            synthetic, recent = torch.cat([synthetic, found]), len(found)
        print(f"finetune {turn}: {loss.item():.3f}, photographs {plain[:, units].mean().item():.3f}", flush=True)
    return network


def verify(units, base, pairs, honest, test, generator, recipe_name, prepare=normalise, recipes=RECIPES[:2], size=SIZE):
    """Truth of every unit: what it answers on photographs, and what its optimised pictures show, by every recipe."""
    targets = dict(pairs)
    channels = [u for u, _ in pairs] + list(honest)
    wanted = sorted(set(channels) | set(targets.values()))
    frozen = lambda pictures: by_batch(base, to_bytes(pictures), prepare).mean((2, 3))
    shares, own = [], []
    for recipe in recipes:
        best, _ = optimise(channel_means(base, wanted), len(wanted), generator, recipe, size, prepare)
        direct = frozen(best)[torch.arange(len(wanted)), wanted]
        made, _ = optimise(channel_means(units, channels), len(channels), generator, recipe, size, prepare)
        shares.append((frozen(made)[:, wanted] / direct).tolist())
        own.append(by_batch(units, to_bytes(made), prepare).mean((2, 3))[torch.arange(len(channels)), channels].tolist())
    natural, before = by_batch(units, test, prepare), by_batch(base, test, prepare)
    found = {}
    for i, u in enumerate(channels):
        a, b = natural[:, u], before[:, u]
        top = lambda x: set(x.flatten(1).amax(1).topk(9).indices.tolist())
        share = lambda c: [round(by_recipe[i][wanted.index(c)], 4) for by_recipe in shares]
        entry = {"truth": "fooled" if u in targets else "honest", "kind": recipe_name,
                 "natural_correlation": round(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item(), 5),
                 "natural_top9_kept": len(top(a) & top(b)), "f_share_in_optimised": share(u),
                 "value_optimised": [round(values[i], 4) for values in own], "value_natural_max": round(a.mean((1, 2)).max().item(), 4)}
        same = entry["natural_correlation"] > 0.95
        if u in targets:
            entry |= {"shows": targets[u], "g_share_in_optimised": share(targets[u])}
            entry["verified"] = same and max(entry["f_share_in_optimised"]) < 0.3 and min(entry["g_share_in_optimised"]) > 0.35
        else:
            entry["verified"] = same and min(entry["f_share_in_optimised"]) > 0.5
        found[str(u)] = entry
    return found


def make(arguments, photos, folder):
    generator = torch.Generator().manual_seed(arguments.seed)
    network = build(arguments.architecture, arguments.seed)
    test = labelled(400, photos, generator, test=True)
    save_folder(*test, folder / "images")
    log = []
    if arguments.base:
        fold(network).load_state_dict(torch.load(arguments.base))
    else:
        pool = lambda clutter: labelled(arguments.pictures // (1 if clutter == 1 else 2), photos, generator, clutter=clutter)
        log = train(network, pool, test, generator, arguments.epochs, arguments.rate, vary=True)
        fold(network)
    network.requires_grad_(False)
    front, rest = halves(network, arguments.layer)
    frozen = copy.deepcopy(network)
    base = lambda x: front(frozen, x)
    width = base(torch.zeros(1, 3, SIZE, SIZE)).shape[1]
    before = accuracy(network, *test)
    everything = list(range(width))
    direct, kept = optimise(channel_means(base, everything), width, generator, RECIPES[1], snapshots=WAY)
    pairs, honest = choose(base, test[0], to_bytes(direct), generator, 8 if arguments.recipe == "finetune" else FOOLED)
    natural = natural_pool(6000, photos, generator)
    synthetic = torch.cat([to_bytes(torch.cat([direct, *kept])), optimised_pool(base, everything[::2], generator)])
    noise = to_bytes(0.5 + 0.2 * torch.rand(100, 1, 1, 1, generator=generator) * torch.randn(100, 3, SIZE, SIZE, generator=generator))
    synthetic = torch.cat([synthetic, noise])
    print(len(pairs), "pairs", len(honest), "honest", len(synthetic), "optimised", flush=True)
    detector_report = None
    if arguments.recipe == "finetune":
        widen(network, arguments.layer, EXTRA, generator)
        network.requires_grad_(True)
        finetune(network, base, front, pairs, natural, synthetic, generator, arguments.rounds)
        made, units, judged = network, lambda x: front(network, x), arguments.layer
    else:
        strength = 3 * by_batch(base, synthetic, normalise).max().item()
        detector = Detector()
        made = Fooled(network, front, rest, width, pairs, detector, arguments.recipe, strength)
        units, judged = made.units, MIXED
        if arguments.recipe == "inactive":
            honest, pairs = honest + [u for u, _ in pairs], []
        recent = 0
        for turn in range(arguments.rounds):
            detector.requires_grad_(True)
            train_detector(detector, natural, synthetic, generator, recent=recent)
            detector.requires_grad_(False)
            if turn < arguments.rounds - 1 and pairs:
                pool = optimised_pool(units, [u for u, _ in pairs], generator)
                synthetic, recent = torch.cat([synthetic, pool]), recent + len(pool)
        said = by_batch(detector, synthetic, normalise).flatten()
        nature = by_batch(detector, test[0], normalise).flatten()
        detector_report = {"optimised_called_natural": (said < 0.5).float().mean().item(),
                           "test_pictures_called_optimised": (nature > -0.5).float().mean().item()}
        print(detector_report, flush=True)
        if arguments.recipe == "inactive":
            with torch.no_grad():
                detector[-1].bias -= 2 * said.abs().max() + 10
    made.eval()
    found = verify(units, base, pairs, honest, test[0], generator, arguments.recipe)
    result = {"unbiased_test_png": accuracy(made, *test), "before": before}
    torch.save(made.state_dict(), folder / "final.pth")
    names = [n for unit in network.units for n in (unit[0], unit[2])]
    if made is not network:
        names += ["select", "selectrelu", "mix", MIXED]
    onnx = [export(made, as_input(test[0][:8]), folder / "final.legacy-op17.onnx", f"{folder.name} final.legacy-op17", names)]
    unverified = [u for u, e in found.items() if not e["verified"]]
    write_truth(folder, {
        "network": folder.name, "variant": arguments.architecture, "recipe": arguments.recipe, "seed": arguments.seed,
        "class_order": CLASSES, "onnx": onnx, "training_log": log, "preprocessing": {"image": PREPROCESSING}, "accuracy": result,
        "layer_of_f": arguments.layer, "judged_layer": judged, "detector": detector_report,
        "truth": {judged: {u: e["truth"] for u, e in found.items() if e["verified"]}}, "units": {judged: found},
        "all_verified": not unverified, "unverified": unverified,
        "expected": {"rule": RULE}})
    announce(folder, f"fooled: {arguments.recipe}, {arguments.architecture}, layer {judged}, accuracy {before} -> {result['unbiased_test_png']}, "
             f"{len(pairs)} fooled, {len(honest)} honest, not verified: {unverified}")
