"""Trains a sparse autoencoder on the activations of a layer, which gives a dictionary of directions.

    pip install torch numpy safetensors onnx pillow
    python scripts/train_sae.py --activations FILE.npy --out SAE.safetensors [--features 1024] [--l1 0.16]
    python scripts/train_sae.py --model MODEL.onnx --layer TENSOR --images FOLDER --out SAE.safetensors

FILE holds rows of activations [N, C], as .npy or as the only tensor of a .safetensors. With --model the
rows are the activations of a network at --positions random positions of every photo; FOLDER holds folders
of photos.

The code of a row x is f = relu((x - b_dec) @ W_enc.T + b_enc), its reconstruction f @ W_dec + b_dec. Rows
of W_dec are the directions of the features, of norm 1. The file has W_enc [K, C], b_enc [K], W_dec [K, C]
and b_dec [C] in float32.

The loss is the squared error plus --l1 times a penalty on f. The penalty grows like the logarithm of f
(Candes, Wakin and Boyd, Enhancing Sparsity by Reweighted l1 Minimization, 2008): it shrinks large
features less than their sum would. Features that no row activates are set anew during training (Bricken
et al., Towards Monosemanticity, 2023).

Prints explained variance, mean number of active features and number of dead features, over all rows.
Every tenth block of --positions rows, a photo each with --model, is not trained on; its explained
variance is printed too.
"""

import argparse
import sys
import time
from pathlib import Path

# This import comes before torch, because it sets variables that PyTorch reads when imported.
from compare_scan import SHORTER_SIDE, Network, Photos, keep_memory

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

BATCH = 1024
# Number of steps over which the sparsity penalty grows to its full weight.
WARM_UP = 500
# Share of the steps, at the end, in which the learning rate falls to zero.
DECAY = 0.2
# Times, as shares of the steps, at which dead features are reset.
RESAMPLINGS = (0.15, 0.3, 0.45)
# Below this value the penalty is about the sum of the features; the root of the rows' summed variance is 1.
LOG_FROM = 0.02
HELD_OUT = 10


def read(path):
    if path.endswith(".npy"):
        return torch.from_numpy(np.load(path)).float()
    tensors = load_file(path)
    if len(tensors) != 1:
        sys.exit(f"{path}: {len(tensors)} tensors instead of one: {', '.join(tensors)}")
    return next(iter(tensors.values())).float()


def of_network(o):
    """Returns activations [N, C] of a layer at random positions of all photos."""
    network = Network(o.model, [o.layer])
    photos = Photos(o.images, network.size, o.resize)
    random = torch.Generator().manual_seed(o.seed)
    rows = []

    def look(layer, activations):
        maps = activations.flatten(2).mT if activations.dim() > 2 else activations.unsqueeze(1)
        # Positions are drawn without repetition: the first ones of a random order.
        chosen = torch.rand(maps.shape[:2], generator=random).argsort(1)[:, : o.positions]
        rows.append(maps.gather(1, chosen.unsqueeze(2).expand(-1, -1, maps.shape[2])).flatten(0, 1))

    network.watch(look)
    with torch.inference_mode():
        for pixels, _ in photos.loader(8, 1):
            network(pixels)
    return torch.cat(rows).clone()


def encoded(sae, x):
    return torch.relu((x - sae["b_dec"]) @ sae["W_enc"].T + sae["b_enc"])


def decoded(sae, f):
    return f @ sae["W_dec"] + sae["b_dec"]


@torch.no_grad()
def measured(sae, rows):
    """Returns the explained variance, the mean number of active features, and how often each feature is active."""
    error, uses = 0.0, torch.zeros(len(sae["b_enc"]))
    for x in rows.split(4096):
        f = encoded(sae, x)
        error += (decoded(sae, f) - x).square().sum().item()
        uses += (f > 0).sum(0)
    variance = (rows - rows.mean(0)).square().sum().item()
    return 1 - error / variance, uses.sum().item() / len(rows), uses


@torch.no_grad()
def resampled(sae, optimizer, rows, random):
    """Gives features that are never active the direction of a row that is reconstructed badly."""
    sample = rows[torch.randint(len(rows), (min(len(rows), 16384),), generator=random)]
    f = encoded(sae, sample)
    dead = ((f > 0).sum(0) == 0).nonzero().squeeze(1)
    if not len(dead):
        return 0
    errors = (decoded(sae, f) - sample).square().sum(1)
    chosen = sample[torch.multinomial(errors.square(), len(dead), generator=random)]
    directions = F.normalize(chosen - sae["b_dec"], dim=1)
    alive = sae["W_enc"].norm(dim=1)[(f > 0).any(0)].mean()
    sae["W_dec"][dead] = directions
    sae["W_enc"][dead] = 0.2 * alive * directions
    sae["b_enc"][dead] = 0
    for name in ("W_dec", "W_enc", "b_enc"):
        for moment in ("exp_avg", "exp_avg_sq"):
            optimizer.state[sae[name]][moment][dead] = 0
    return len(dead)


def trained(o, rows):
    random = torch.Generator().manual_seed(o.seed)
    center = rows.mean(0)
    # Rows are scaled to unit total variance, so that --l1 and the learning rate suit every layer.
    scale = (rows - center).square().sum(1).mean().sqrt()
    rows = (rows - center) / scale
    directions = F.normalize(torch.randn(o.features, rows.shape[1], generator=random), dim=1)
    sae = {
        "W_enc": directions.clone(),
        "b_enc": torch.zeros(o.features),
        "W_dec": directions.clone(),
        "b_dec": torch.zeros(rows.shape[1]),
    }
    for tensor in sae.values():
        tensor.requires_grad_()
    optimizer = torch.optim.Adam(sae.values(), o.rate)
    resample_at = {round(o.steps * part) for part in RESAMPLINGS}
    start = time.perf_counter()
    for step in range(o.steps):
        x = rows[torch.randint(len(rows), (BATCH,), generator=random)]
        f = encoded(sae, x)
        error = (decoded(sae, f) - x).square().sum(1).mean()
        penalty = LOG_FROM * torch.log1p(f / LOG_FROM).sum(1).mean()
        loss = error + o.l1 * min(1, step / WARM_UP) * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = o.rate * min(1, (1 - step / o.steps) / DECAY)
        optimizer.step()
        with torch.no_grad():
            sae["W_dec"] /= sae["W_dec"].norm(dim=1, keepdim=True)
        if step in resample_at:
            print(f"step {step}: {resampled(sae, optimizer, rows, random)} dead features were set anew")
        if step % 500 == 0 or step == o.steps - 1:
            print(
                f"step {step}: {time.perf_counter() - start:.0f} s, "
                f"error {error.item():.3f} of the variance, "
                f"{(f > 0).sum(1).float().mean().item():.1f} active features",
                flush=True,
            )
    sae = {name: tensor.detach() for name, tensor in sae.items()}
    # Undoes the scaling: the decoder's rows keep norm 1, and features grow with the activations.
    return {
        "W_enc": sae["W_enc"].clone(),
        "b_enc": sae["b_enc"] * scale,
        "W_dec": sae["W_dec"].clone(),
        "b_dec": sae["b_dec"] * scale + center,
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--activations", metavar="FILE", help="rows of activations, .npy or .safetensors")
    parser.add_argument("--model", help="MODEL.onnx, with its card MODEL.toml beside it")
    parser.add_argument("--layer", help="output of a node, or a name of the card")
    parser.add_argument("--images", metavar="FOLDER", help="folders of photos")
    parser.add_argument("--positions", type=int, default=64, help="positions of each photo (64)")
    parser.add_argument("--resize", type=int, default=SHORTER_SIDE, help="shorter side before the crop (256)")
    parser.add_argument("--out", required=True, metavar="SAE.safetensors")
    parser.add_argument("--features", type=int, default=1024)
    parser.add_argument(
        "--l1", type=float, default=0.16, help="weight of the penalty; more: fewer active features"
    )
    parser.add_argument("--rate", type=float, default=1e-3, help="of learning")
    parser.add_argument("--steps", type=int, default=3000, help=f"of {BATCH} rows each")
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    if bool(o.activations) == bool(o.model) or (o.model and not (o.layer and o.images)):
        parser.error("give either --activations, or --model with --layer and --images")
    keep_memory()
    rows = read(o.activations) if o.activations else of_network(o)
    if rows.dim() != 2:
        sys.exit(f"activations of shape {list(rows.shape)} instead of [N, C]")
    print(f"{len(rows)} rows of {rows.shape[1]} channels")
    held_out = torch.arange(len(rows)) // o.positions % HELD_OUT == HELD_OUT - 1
    sae = trained(o, rows[~held_out])
    Path(o.out).parent.mkdir(parents=True, exist_ok=True)
    save_file(sae, o.out)
    explained, active, uses = measured(sae, rows)
    print(f"explained variance {100 * explained:.1f} %")
    if held_out.any():
        print(f"explained variance of rows not trained on {100 * measured(sae, rows[held_out])[0]:.1f} %")
    print(f"{active:.1f} of {o.features} features active on average, {(uses == 0).sum().item()} dead")


if __name__ == "__main__":
    main()
