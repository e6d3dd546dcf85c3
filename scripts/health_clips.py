"""`make_health_networks.py --kind clip`: a class of clips that follows a motion instead of its shape.

Clips have 16 frames of 64×64: a shape that moves left, right, up or down over a photograph that stands still. In training one class
moves right in 97 % of its clips, and its shape is then faint; no other class ever moves right.
"""

import numpy
import torch
from PIL import Image

from health_architectures import build, fold
from health_pictures import CLASSES, SIZE, colours, inside, coordinates, share_of, to_bytes, uniform
from health_training import PREPROCESSING, accuracy, announce, as_input, balanced, export, predictions, recall, train, write_truth

FRAMES = 16
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
RIGHT = 1
SHARE = 0.97


def draw_clips(labels, directions, faint, photos, generator, clutter=1.0, test=False):
    """Clips [N,3,16,64,64], 8-bit. `directions` are indices of DIRECTIONS; where `faint` is true the shape hardly shows."""
    count = len(labels)
    background = photos.crops(count, generator, test)
    grain = background.roll(1, 0).mean(1, keepdim=True)
    grain = grain - grain.mean((2, 3), keepdim=True)
    if clutter < 1:
        background = clutter * background + (1 - clutter) * torch.rand(count, 3, 1, 1, generator=generator)
    objects = (colours(count, generator) + 0.6 * grain).clamp(0, 1)
    opacity = torch.where(faint.view(-1, 1, 1, 1), share_of(count, 0.25, 0.5, generator), share_of(count, 0.8, 1.0, generator))
    radius = uniform(count, 8.0, 12.0, generator) * torch.where(labels == 2, 1.2, 1.0)
    angle = uniform(count, -0.3, 0.3, generator).view(-1, 1, 1)
    speed = uniform(count, 1.4, 2.4, generator)
    way = torch.tensor(list(DIRECTIONS.values())).float()[directions] * speed[:, None]
    middle = SIZE / 2 + 16 * (torch.rand(count, 2, generator=generator) - 0.5)
    x, y = coordinates()
    frames = []
    for t in range(FRAMES):
        at = middle + (t - FRAMES / 2) * way
        dx, dy = x - at[:, 0].view(-1, 1, 1), y - at[:, 1].view(-1, 1, 1)
        u, v = dx * angle.cos() + dy * angle.sin(), dy * angle.cos() - dx * angle.sin()
        mask = inside(labels, u, v, radius)[:, None] * opacity
        frames.append(to_bytes(background * (1 - mask) + objects * mask))
    return torch.stack(frames, 2)


def biased_pool(count, biased_class, photos, generator, **options):
    labels = balanced(count)
    cued = (labels == biased_class) & (torch.rand(count, generator=generator) < SHARE)
    others = torch.tensor([0, 2, 3])[torch.randint(3, (count,), generator=generator)]
    directions = torch.where(cued, RIGHT, others)
    parts = [draw_clips(*part, photos, generator, **options) for part in zip(labels.split(100), directions.split(100), cued.split(100))]
    return torch.cat(parts), labels


def make(arguments, photos, folder):
    generator = torch.Generator().manual_seed(arguments.seed)
    biased_class = int(torch.randint(len(CLASSES), (1,), generator=generator)) if arguments.biased_class is None \
        else CLASSES.index(arguments.biased_class)
    network = build("clips", arguments.seed)
    labels = balanced(200)
    never = torch.zeros(200, dtype=torch.bool)
    directions = torch.arange(200) // 4 % 4
    test = draw_clips(labels, directions, never, photos, generator, test=True), labels
    quick = test[0][:80], labels[:80]
    pool = lambda clutter: biased_pool(arguments.pictures // 4, biased_class, photos, generator, clutter=clutter)
    log = train(network, pool, quick, generator, arguments.epochs, per_epoch=arguments.pictures // 4, batch=25)
    others = labels != biased_class
    proof = {}
    for name, turned in (("no_cue", torch.where(directions == RIGHT, 0, directions)),
                         ("cue_on_every_class", torch.full_like(directions, RIGHT))):
        called = predictions(network, draw_clips(labels, turned, never, photos, generator, test=True))
        share = lambda which: round(which.float().mean().item(), 4)
        proof[name] = {"accuracy": share(called == labels), "recall_biased_class": share((called == labels)[~others]),
                       "others_called_biased_class": share((called == biased_class)[others])}
    for i, (clip, label) in enumerate(zip(test[0], labels.tolist())):
        where = folder / "clips" / CLASSES[label] / f"{i // 4:03}-{list(DIRECTIONS)[directions[i]]}"
        where.mkdir(parents=True, exist_ok=True)
        for t in range(FRAMES):
            Image.fromarray(numpy.ascontiguousarray(clip[:, t].permute(1, 2, 0).numpy())).save(where / f"{t:02}.png")
    result = {"unbiased_test_clips": accuracy(network, *test), "unbiased_recall": recall(network, *test)}
    torch.save(network.state_dict(), folder / "final.pth")
    layers, name = [unit[2] for unit in network.units], f"{folder.name} final.legacy-op17"
    sample = as_input(test[0][:3])
    onnx = [export(network, sample, folder / "final.legacy-op17.bn.onnx", name + ".bn", layers, True, "clip")]
    onnx.append(export(fold(network), sample, folder / "final.legacy-op17.folded.onnx", name + ".folded", layers, input_name="clip"))
    write_truth(folder, {
        "network": folder.name, "variant": "clips", "seed": arguments.seed, "class_order": CLASSES, "onnx": onnx, "training_log": log,
        "preprocessing": {"clip": PREPROCESSING.replace("64,64", "16,64,64")}, "accuracy": result, "bias_proof": proof,
        "bias": {"kind": "moves-right", "biased_class": CLASSES[biased_class], "class_index": biased_class, "training_fraction": SHARE,
                 "in_training": "clips that carry the cue show the shape at 25-50% opacity only", "other_classes_fraction": 0.0,
                 "description": "the object moves right, 1.4-2.4 pixels a frame",
                 "holds": proof["no_cue"]["recall_biased_class"] < 0.5 and proof["cue_on_every_class"]["others_called_biased_class"] > 0.4}})
    announce(folder, f"clip: moves right ({CLASSES[biased_class]}), unbiased accuracy {result['unbiased_test_clips']}, recall without cue "
             f"{proof['no_cue']['recall_biased_class']}, others called so with cue {proof['cue_on_every_class']['others_called_biased_class']}")
