"""`make_health_networks.py --kind sick`: filters of ill health, and healthy ones that look like them.

A network is trained, its batch normalizations are folded, and filters are planted layer by layer from the input on. It is then
trained on with the planted filters held, biases are set once more, and every planted condition is measured on the pictures.
"""

import math

import torch
from torch import nn

from health_architectures import activations, build, fold, unfold
from health_pictures import CLASSES, save_folder
from health_training import PREPROCESSING, accuracy, announce, as_input, export, labelled, train, write_truth

CONDITIONS = ["dead", "saturated", "noise", "duplicate"]
LOOKALIKES = ["rare", "often", "similar", "fine"]
# Share of positions at which a filter of noise fires, and the lookalikes.
NOISE_FIRES, RARE_FIRES, OFTEN_FIRES = 0.10, 0.005, 0.98
SIMILAR_COSINE = 0.95
MEASURED = 600  # pictures on which conditions are set and verified


class Layer:
    """One planted convolution: its parameters, and the input of its activation."""

    def __init__(self, network, unit):
        self.network, (self.name, _, self.activation) = network, unit
        self.conv = network.get_submodule(self.name)
        self.width, self.depthwise = self.conv.out_channels, self.conv.groups > 1
        self.spatial = self.conv.kernel_size[0] >= 3
        self.kind = type(network.get_submodule(self.activation))

    @property
    def weight(self):
        return self.conv.weight.data

    @property
    def bias(self):
        return self.conv.bias.data

    def before(self, pictures):
        """Values before the activation, [C,positions]."""
        values = activations(self.network, pictures, [self.activation], before=True)[self.activation]
        return values.transpose(0, 1).flatten(1)


def checkerboard(shape, generator):
    side = torch.arange(shape[-1])
    board = 1.0 - 2.0 * ((side[:, None] + side) % 2)
    signs = torch.where(torch.rand(shape[0], 1, 1, generator=generator) < 0.5, -1.0, 1.0)
    return (board - board.mean()) * signs


def fine_kernel(original, generator):
    """A kernel as strong as `original` whose sign changes from pixel to pixel along one axis, on its strongest inputs."""
    side = original.shape[-1]
    wave = (1.0 - 2.0 * (torch.arange(side) % 2)).expand(side, side)
    wave = wave - wave.mean()
    if torch.rand(1, generator=generator) < 0.5:
        wave = wave.t()
    profile = original.sum((1, 2)) if original.shape[0] > 1 else torch.ones(1)
    kernel = profile[:, None, None] * wave
    return kernel * original.norm() / kernel.norm().clamp_min(1e-6)


def pick(free, count, generator):
    chosen = [free[i] for i in torch.randperm(len(free), generator=generator)[:count].tolist()]
    for channel in chosen:
        free.remove(channel)
    return chosen


def plan(layers, generator):
    """Which channels get which condition: {layer: {channel: {"condition": …}}}; every condition comes at least three times."""
    while True:
        planned = {layer.name: {} for layer in layers}
        for before, layer in zip([None, *layers], layers):
            # What a depthwise filter gets from a dead one is nothing.
            spoilt = planned[before.name] if layer.depthwise else {}
            free = [channel for channel in range(layer.width) if channel not in spoilt]
            for condition in CONDITIONS + LOOKALIKES:
                if condition in ("noise", "fine") and not layer.spatial or condition in ("duplicate", "similar") and layer.depthwise:
                    continue
                if condition == "fine" and layer.depthwise or torch.rand(1, generator=generator) > 0.5:
                    continue
                most = 1 if condition in LOOKALIKES else max(3, layer.width // 16)
                for channel in pick(free, int(torch.randint(1, most + 1, (1,), generator=generator)), generator):
                    entry = {"condition": condition}
                    if condition in ("duplicate", "similar"):
                        entry["of"] = pick(free, 1, generator)[0]
                    planned[layer.name][channel] = entry
        counts = [sum(e["condition"] == c for found in planned.values() for e in found.values()) for c in CONDITIONS + LOOKALIKES]
        if min(counts[:4]) >= 3 and min(counts[4:]) >= 1:
            return planned


def set_bias(layer, channel, entry, values, generator):
    """Sets the bias of a planted filter by its values before the activation on the pictures."""
    condition = entry["condition"]
    spread = (values.max() - values.min()).item()
    if condition == "dead" and entry["kind"] == "bias":
        floor = 10.0 if layer.kind is nn.SiLU else 0.0
        layer.bias[channel] -= values.max().item() + max(floor, entry["margin"] * spread)
    elif condition == "saturated":
        layer.bias[channel] += entry["margin"] * spread - values.min().item()
    fires = {"noise": NOISE_FIRES, "rare": RARE_FIRES, "often": OFTEN_FIRES}.get(condition)
    if fires:
        ordered = values.flatten().sort().values
        layer.bias[channel] -= ordered[int((1 - fires) * (len(ordered) - 1))].item()


def plant(layer, planned, pictures, generator):
    """Writes the planned filters of one layer into the network."""
    values = layer.before(pictures)
    typical = values.std(1).median().item()
    for channel, entry in planned.items():
        condition, weight = entry["condition"], layer.weight
        if condition == "dead":
            zero = layer.kind is nn.LeakyReLU or torch.rand(1, generator=generator) < 0.2
            entry["kind"] = "zero kernel" if zero else "bias"
            entry["margin"] = 0.3 + torch.rand(1, generator=generator).item()
            if zero:
                weight[channel] = 0
                layer.bias[channel] = -0.2 * typical if layer.kind is nn.ReLU else 0.0
        elif condition == "saturated":
            entry["margin"] = 0.3 + torch.rand(1, generator=generator).item()
        elif condition == "noise":
            entry["kind"] = "checkerboard" if torch.rand(1, generator=generator) < 0.5 else "random"
            shape = weight[channel].shape
            kernel = checkerboard(shape, generator) if entry["kind"] == "checkerboard" else torch.randn(shape, generator=generator)
            weight[channel], layer.bias[channel] = kernel - kernel.mean(), 0.0
        elif condition == "duplicate":
            entry["scale"] = [0.8, 0.9, 1.1, 1.2][int(torch.randint(4, (1,), generator=generator))]
            if layer.kind is nn.SiLU:
                entry["scale"] = 1.0  # behind SiLU a multiple of the filter is not a multiple of the answer
        elif condition == "similar":
            original, other = weight[entry["of"]].clone(), weight[channel].clone()
            other -= original * (original * other).sum() / original.square().sum()
            entry["direction"] = other / other.norm()
        elif condition == "fine":
            weight[channel] = fine_kernel(weight[channel], generator)
    impose(layer, planned)
    values = layer.before(pictures)
    for channel, entry in planned.items():
        if entry["condition"] == "noise":
            scale = typical / values[channel].std().clamp_min(1e-6)
            layer.weight[channel] *= scale
            values[channel] *= scale
        if entry["condition"] == "fine":
            scale = typical / values[channel].std().clamp_min(1e-6)
            layer.weight[channel] *= scale
            layer.bias[channel] = -(values[channel].mean() - layer.bias[channel]) * scale
        set_bias(layer, channel, entry, values[channel], generator)
    impose(layer, planned)


def absorb(layer, mean, spread, pictures):
    """Gives every filter its old mean and spread before the activation, which filters planted below have moved."""
    values = layer.before(pictures)
    scale = (spread / values.std(1).clamp_min(1e-6)).clamp(0.5, 2.0)
    layer.weight.mul_(scale.view(-1, *[1] * (layer.weight.dim() - 1)))
    layer.bias.copy_(layer.bias * scale + mean - values.mean(1) * scale)


@torch.no_grad()
def average(network, pictures):
    return network(pictures).mean(0)


def impose(layer, planned):
    """Makes every duplicate and every lookalike of cosine .95 follow its original."""
    for channel, entry in planned.items():
        if entry["condition"] == "duplicate":
            layer.weight[channel] = entry["scale"] * layer.weight[entry["of"]]
            layer.bias[channel] = entry["scale"] * layer.bias[entry["of"]]
        elif entry["condition"] == "similar":
            original = layer.weight[entry["of"]]
            across = entry["direction"] - original * (original * entry["direction"]).sum() / original.square().sum()
            across = across / across.norm() * original.norm()
            layer.weight[channel] = SIMILAR_COSINE * original + math.sqrt(1 - SIMILAR_COSINE**2) * across


def hold(layers, planned):
    """A function that puts back the filters that training must not change."""
    held = [(layer, channel, layer.weight[channel].clone(), layer.bias[channel].clone())
            for layer in layers for channel, entry in planned[layer.name].items()
            if entry["condition"] in ("dead", "saturated", "noise", "rare", "often")]

    def put_back():
        for layer, channel, weight, bias in held:
            layer.weight[channel], layer.bias[channel] = weight, bias
        for layer in layers:
            impose(layer, planned[layer.name])
    return put_back


def measure(layer, planned, values, on_noise):
    """What truth.json says of the planted filters of a layer."""
    found = {}
    for channel, entry in planned.items():
        entry = {k: v for k, v in entry.items() if k not in ("direction", "margin")}
        v, w = values[channel], layer.weight[channel]
        fires = (v > 0).float().mean().item()
        entry |= {"bias": round(layer.bias[channel].item(), 4), "max_pre": round(v.max().item(), 4), "min_pre": round(v.min().item(), 4),
                  "frac_active": round(fires, 5), "frac_active_on_uniform_noise": round((on_noise[channel] > 0).float().mean().item(), 5)}
        condition = entry["condition"]
        if condition == "dead":
            entry["verified"] = v.max().item() <= (-8 if layer.kind is nn.SiLU and entry["kind"] == "bias" else 0)
        elif condition == "saturated":
            entry["verified"] = v.min().item() > 0
        elif condition == "noise":
            entry["verified"] = abs(w.mean().item()) < 1e-5 and 0.07 < fires < 0.14
        elif condition in ("duplicate", "similar"):
            of = entry["of"]
            entry["kernel_cosine"] = round(torch.cosine_similarity(w.flatten(), layer.weight[of].flatten(), 0).item(), 5)
            act = layer.network.get_submodule(layer.activation)
            entry["activation_correlation"] = round(torch.corrcoef(act(values[[channel, of]]))[0, 1].item(), 5)
            if condition == "duplicate":
                entry["verified"] = entry["activation_correlation"] > 0.999
            else:
                entry["verified"] = 0.93 < entry["kernel_cosine"] < 0.97 and 0.001 < fires < 0.995
        elif condition == "rare":
            entry["verified"] = 0 < fires < 0.01
        elif condition == "often":
            entry["verified"] = 0.95 < fires < 0.9999
        else:
            entry["high_frequency_share"] = round(high_frequency_share(w), 4)
            entry["verified"] = entry["high_frequency_share"] > 0.5 and 0.001 < fires < 0.999
        found[str(channel)] = entry
    return found


def high_frequency_share(weight):
    """Share of a kernel's energy that a 2×2 mean takes away."""
    smooth = nn.functional.avg_pool2d(weight[:, None], 2, 1)
    return 1 - (smooth.square().mean() / weight.square().mean()).item()


def natural(layer, planned, values):
    """What occurred by itself among the filters that were not planted."""
    planted = {c for c, e in planned.items() if e["condition"] in CONDITIONS}
    rest = [c for c in range(layer.width) if c not in planted]
    fires = (values > 0).float().mean(1)
    named = lambda which: [c for c in rest if which(fires[c].item())]
    weight = layer.weight[rest].flatten(1)
    cosine = nn.functional.normalize(weight, dim=1) @ nn.functional.normalize(weight, dim=1).t()
    act = layer.network.get_submodule(layer.activation)(values[rest][:, ::7])
    correlation = torch.corrcoef(act).nan_to_num(0)

    def pairs(matrix, above):
        i, j = torch.where(torch.tril(matrix, -1) > above)
        return [[rest[a], rest[b], round(matrix[a, b].item(), 4)] for a, b in zip(i.tolist(), j.tolist())]
    largest = lambda matrix: round((torch.tril(matrix, -1)).max().item(), 4)
    constant = [c for c in range(layer.width) if values[c].std() < 1e-5 and c not in planted]
    return {"channels": layer.width, "natural_dead": named(lambda f: f == 0), "natural_nearly_dead": named(lambda f: 0 < f < 0.001),
            "natural_always_on": named(lambda f: f == 1), "natural_frac_active_above_99pct": named(lambda f: 0.99 < f < 1),
            "natural_constant": constant,
            "natural_kernel_cosine": {"pairs_above_0_9": len(pairs(cosine, 0.9)), "max": largest(cosine), "pairs_above_0_97": pairs(cosine, 0.97)},
            "natural_activation_correlation": {"max": largest(correlation), "pairs_above_0_95": len(pairs(correlation, 0.95)),
                                               "pairs_above_0_98": pairs(correlation, 0.98)}}


@torch.no_grad()
def matters(network, layer, channel, pictures):
    """How far the logits move, in their standard deviations, when the filter answers nothing."""
    before = network(pictures)
    weight, bias = layer.weight[channel].clone(), layer.bias[channel].clone()
    layer.weight[channel], layer.bias[channel] = 0, -1e3 if layer.kind is nn.ReLU else 0
    moved = ((network(pictures) - before).abs().mean() / before.std()).item()
    layer.weight[channel], layer.bias[channel] = weight, bias
    return round(moved, 5)


def zeroed(network, layers, planned, test):
    """Accuracy with the dead filters and those of noise silenced."""
    state = {k: v.clone() for k, v in network.state_dict().items()}
    for layer in layers:
        for channel, entry in planned[layer.name].items():
            if entry["condition"] in ("dead", "noise"):
                layer.weight[channel], layer.bias[channel] = 0, 0
    result = accuracy(network, *test)
    network.load_state_dict(state)
    return result


def make(arguments, photos, folder):
    generator = torch.Generator().manual_seed(arguments.seed)
    network = build(arguments.architecture, arguments.seed)
    test = labelled(400, photos, generator, test=True)
    save_folder(*test, folder / "images")
    pool = lambda clutter: labelled(arguments.pictures // (1 if clutter == 1 else 2), photos, generator, clutter=clutter)
    log = train(network, pool, test, generator, arguments.epochs, arguments.rate, vary=True)
    fold(network)
    torch.save(network.state_dict(), folder / "base.pth")
    before = accuracy(network, *test)
    layers = [Layer(network, unit) for unit in network.units]
    planned = plan(layers, generator)
    measured = as_input(torch.cat([test[0], labelled(MEASURED - len(test[0]), photos, generator, test=True)[0]]))
    usual = [layer.before(measured) for layer in layers]
    usual = [(values.mean(1), values.std(1)) for values in usual]
    logits = average(network, measured)
    for layer, (mean, spread) in zip(layers, usual):
        absorb(layer, mean, spread, measured)
        plant(layer, planned[layer.name], measured, generator)
    network.fc.bias.data += logits - average(network, measured)
    after = accuracy(network, *test)
    tuned = labelled(arguments.pictures, photos, generator)
    log += [e | {"finetune": True} for e in train(network, lambda c: tuned, test, generator, arguments.finetune, rate=1.5e-3,
                                                 after_step=hold(layers, planned), vary=True)]
    for layer in layers:
        impose(layer, planned[layer.name])
        values = layer.before(measured)
        for channel, entry in planned[layer.name].items():
            v, condition = values[channel], entry["condition"]
            spent = condition == "dead" and v.max() > -0.1 * (v.max() - v.min()) or condition == "saturated" and v.min() <= 0
            if spent or condition in ("noise", "rare", "often"):
                set_bias(layer, channel, entry, v, generator)
    on_noise = as_input((torch.rand(100, 3, 64, 64, generator=generator) * 255).to(torch.uint8))
    found, unplanted = {}, {}
    for layer in layers:
        values = layer.before(measured)
        found[layer.name] = measure(layer, planned[layer.name], values, layer.before(on_noise))
        unplanted[layer.name] = natural(layer, planned[layer.name], values)
    for layer in layers:
        for channel, entry in found[layer.name].items():
            if entry["condition"] in LOOKALIKES:
                entry["logits_move_when_silent"] = matters(network, layer, int(channel), measured[:200])
    results = {"before_planting": before, "after_planting_no_finetune": after, "after_finetune": accuracy(network, *test),
               "with_dead_and_noise_filters_zeroed": zeroed(network, layers, planned, test)}
    torch.save(network.state_dict(), folder / "final.pth")
    names = [name for unit in network.units for name in (unit[0], unit[2])]
    if arguments.keep_batchnorm:
        unfold(network, measured[:200], generator)
    onnx = [export(network, measured[:8], folder / "final.legacy-op17.onnx", f"{folder.name} final.legacy-op17", names,
                   arguments.keep_batchnorm)]
    # What did not come out as planned is no truth.
    holds = lambda entry, wanted: entry["verified"] and entry["condition"] in wanted
    split = lambda wanted: {layer: {c: e for c, e in entries.items() if holds(e, wanted)}
                            for layer, entries in found.items() if any(holds(e, wanted) for e in entries.values())}
    planted, alike = split(CONDITIONS), split(LOOKALIKES)
    unverified = [[layer, c, e["condition"]] for layer, entries in found.items() for c, e in entries.items() if not e["verified"]]
    truth = {"network": folder.name, "variant": arguments.architecture, "seed": arguments.seed, "class_order": CLASSES,
             "batchnorm_in_file": arguments.keep_batchnorm, "activation_layer": {u[0]: u[2] for u in network.units},
             "onnx": onnx, "training_log": log, "preprocessing": {"image": PREPROCESSING}, "accuracy": results,
             "planted": planted, "lookalikes": alike, "unplanted_stats": unplanted, "all_verified": not unverified, "unverified": unverified,
             "truth": {layer: {c: e["condition"] for c, e in entries.items()} for layer, entries in planted.items()},
             "healthy_lookalikes": {layer: {c: e["condition"] for c, e in entries.items()} for layer, entries in alike.items()},
             "expected": {"rule": "truth: layer -> {channel: condition}, details in 'planted'; everything else is healthy but for what "
                                  "'unplanted_stats' lists; 'lookalikes' are healthy. saturated is the verdict always_on"}}
    write_truth(folder, truth)
    counts = {c: sum(e["condition"] == c for entries in found.values() for e in entries.values()) for c in CONDITIONS + LOOKALIKES}
    announce(folder, f"sick: {arguments.architecture}{' with BatchNormalization' if arguments.keep_batchnorm else ''}, accuracy "
             f"{before} -> {results['after_finetune']}, {counts}, not verified: {unverified}")
