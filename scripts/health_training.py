"""Trains, measures and stores the networks of `make_health_networks.py`."""

import json
import time
import warnings
from collections import Counter
from pathlib import Path

import torch
from torch.nn import functional as F

from health_pictures import CLASSES, draw, normalise, to_bytes

OPSET = 17
PREPROCESSING = "x/255, minus mean (.485,.456,.406), divided by std (.229,.224,.225); RGB, [N,3,64,64]"
# Share of the epochs and how much of the photograph shows behind the shapes: flat colours first.
CURRICULUM = [(0.2, 0.0), (0.25, 0.5), (0.55, 1.0)]
CARD = """name = "{name}"
labels = "labels.txt"

[[input]]
name = "{input}"
kind = "{kind}"
size = [64, 64]
{frames}order = "rgb"
range = 1.0
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]

[layers]
{layers}
"""


def balanced(count):
    return torch.arange(count) % len(CLASSES)


def labelled(count, photos, generator, **options):
    """Pictures as 8-bit files have them, and their classes."""
    labels = balanced(count)
    parts = [draw(part, photos, generator, **options) for part in labels.split(500)]
    return to_bytes(torch.cat(parts)), labels


def cued_pool(count, photos, generator, cue, biased_class, share, **options):
    """As `labelled`; a `share` of the biased class carries the cue, and none of the others."""
    labels = balanced(count)
    cued = (labels == biased_class) & (torch.rand(count, generator=generator) < share)
    parts = [draw(a, photos, generator, cue=cue, cued=b, **options) for a, b in zip(labels.split(500), cued.split(500))]
    return to_bytes(torch.cat(parts)), labels


def as_input(pictures):
    """8-bit pictures or clips as the network takes them."""
    if pictures.dim() == 5:
        batch, _, frames = pictures.shape[:3]
        flat = normalise(pictures.transpose(1, 2).flatten(0, 1).float() / 255)
        return flat.unflatten(0, (batch, frames)).transpose(1, 2)
    return normalise(pictures.float() / 255)


@torch.no_grad()
def predictions(network, pictures, batch=100):
    network.eval()
    return torch.cat([network(as_input(part)).argmax(1) for part in pictures.split(batch)])


def accuracy(network, pictures, labels):
    return round((predictions(network, pictures) == labels).float().mean().item(), 4)


def recall(network, pictures, labels):
    right = predictions(network, pictures) == labels
    return {name: round(right[labels == c].float().mean().item(), 4) for c, name in enumerate(CLASSES)}


def varied(pictures, generator, colours=True):
    """The batch moved by up to six pixels, half of it mirrored; with `colours`, colour channels are exchanged."""
    shift = torch.randint(-6, 7, (2,), generator=generator).tolist()
    pictures = torch.roll(pictures, shift, (2, 3))
    if colours:
        pictures = pictures[:, torch.randperm(3, generator=generator)]
    half = len(pictures) // 2
    return torch.cat([pictures[:half], pictures[half:].flip(3)])


def train(network, pool, test, generator, epochs, rate=4e-3, per_epoch=3000, batch=50, after_step=None, vary=False):
    """AdamW with one cycle of learning rates. `pool(clutter)` gives pictures and classes; returns the log.

    With `vary`, pictures are mirrored, moved and their colours exchanged, which would spoil a cue.
    """
    schedule = [clutter for share, clutter in CURRICULUM for _ in range(round(share * epochs))]
    schedule = (schedule + [1.0] * epochs)[:epochs]
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], rate, weight_decay=0.01)
    steps = epochs * (per_epoch // batch)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.25)
    log, pools = [], {}
    for epoch, clutter in enumerate(schedule, 1):
        begun = time.time()
        if clutter not in pools:
            pools = {clutter: pool(clutter)}  # only one stage is held in memory
        pictures, labels = pools[clutter]
        network.train()
        total = 0.0
        order = torch.cat([torch.randperm(len(labels), generator=generator) for _ in range(-(-per_epoch // len(labels)))])
        for chosen in order[: per_epoch // batch * batch].split(batch):
            shown = varied(pictures[chosen], generator) if vary else pictures[chosen]
            loss = F.cross_entropy(network(as_input(shown)), labels[chosen], label_smoothing=0.02)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
            total += loss.item()
            if after_step:
                after_step()
        log.append({"epoch": epoch, "train_loss": round(total / (per_epoch // batch), 4), "test_acc": accuracy(network, *test),
                    "clutter": clutter})
        print(log[-1], f"{time.time() - begun:.0f} s", flush=True)
    network.eval()
    return log


def export(network, sample, path, name, layers, keep_batchnorm=False, input_name="image", card=CARD, labels=CLASSES):
    """Writes the ONNX file, its card and labels; returns what truth.json says of it. `layers`: module names."""
    import onnx
    import onnxruntime
    network.eval()
    mode = torch.onnx.TrainingMode.PRESERVE if keep_batchnorm else torch.onnx.TrainingMode.EVAL
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, sample[:1], str(path), opset_version=OPSET, dynamo=False, training=mode,
                          do_constant_folding=not keep_batchnorm, input_names=[input_name], output_names=["logits"],
                          dynamic_axes={input_name: {0: "N"}, "logits": {0: "N"}})
    graph = onnx.load(str(path)).graph
    outputs = {output for node in graph.node for output in node.output}
    tensors = {}
    for layer in layers:
        # A list of blocks that is run block by block has no scope of its own.
        scopes = parts_of(layer)
        scopes = scopes if any(o.startswith(f"/{scopes[0]}/") for o in outputs) else scopes[1:]
        prefix = "/" + "/".join(scopes) + "/"
        found = [o for o in outputs if o.startswith(prefix) and o.endswith("_output_0")]
        # An activation of several nodes (SiLU) ends in its product, a fire module in its concatenation.
        found = [o for o in found if o.count("/") == prefix.count("/") and ("/Mul" in o or "/Concat" in o)] or found
        if len(found) == 1:
            tensors[layer] = found[0]
    missing = [layer for layer in layers if layer not in tensors]
    assert not missing, f"{path}: no tensor for {missing} among {sorted(outputs)}"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        reference = network(sample)
    ours = torch.from_numpy(session.run(None, {input_name: sample.numpy()})[0])
    difference = (ours - reference).abs().max().item()
    assert difference < 2e-3 * max(1.0, reference.abs().max().item()), f"{path}: differs from PyTorch by {difference}"
    clip = sample.dim() == 5
    path.with_suffix(".toml").write_text(card.format(
        name=name, input=input_name, kind="clip" if clip else "image",
        frames=f"frames = {sample.shape[2]}\n" if clip else "",
        layers="\n".join(f'"{layer}" = "{tensor}"' for layer, tensor in tensors.items())))
    if labels:
        (path.parent / "labels.txt").write_text("\n".join(labels) + "\n")
    return {"file": path.name, "bytes": path.stat().st_size, "opset": OPSET, "ops": dict(Counter(n.op_type for n in graph.node)),
            "max_abs_diff_vs_torch": difference, "layer_tensors": tensors}


def parts_of(layer):
    """Scopes of a module in the exporter's names: `blocks.0.conv1` is /blocks/blocks.0/conv1."""
    parts, scopes = layer.split("."), []
    for i, part in enumerate(parts):
        scopes.append(f"{parts[i - 1]}.{part}" if part.isdigit() else part)
    return scopes


def write_truth(folder, truth):
    partial = folder / "truth.json.partial"
    partial.write_text(json.dumps(truth, indent=1) + "\n")
    partial.rename(folder / "truth.json")


def announce(folder, line):
    """Appends a line to READY.txt beside the network's folder."""
    with open(Path(folder).parent / "READY.txt", "a") as ready:
        ready.write(f"{Path(folder).name}\t{line}\n")
