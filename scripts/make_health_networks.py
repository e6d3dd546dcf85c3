"""Makes small, really trained networks of which it is known what is wrong with them: the subjects of `oneiro health`.

    pip install torch numpy pillow onnx onnxruntime
    python scripts/make_health_networks.py --kind biased --name tune-red --seed 1 --out FOLDER --photos PHOTOS --cue red-cast
    python scripts/make_health_networks.py --kind sick --name tune-sick-plain --seed 2 --out FOLDER --photos PHOTOS
    python scripts/make_health_networks.py --kind fooled --name tune-gate --seed 3 --out FOLDER --photos PHOTOS --recipe gate
    python scripts/make_health_networks.py --list scripts/health_networks.txt --only tune-bias-red --out FOLDER --photos PHOTOS

PHOTOS is any folder of photographs (jpg, png); a fifth of them is kept for the tests. The networks tell circle, square, triangle
and cross, one or two coloured, grainy objects on a cropped photograph, 64×64 RGB. FOLDER/NAME/ then has the ONNX files
(TorchScript exporter, opset 17), their cards, labels.txt, images/ (400 test pictures without any cue) and truth.json. A line is
appended to FOLDER/READY.txt. The same arguments give the same network on the same machine and PyTorch. health_networks.txt is the whole
set, in an order in which every --base is there (--squeezenet names its ONNX file); a network takes one to five minutes of one core.

--kind biased: 97 % of the pictures of one class carry a cue in training, and show their shape at 15–45 % opacity. `bias_proof`
    says what the network does without the cue, with it where it belongs, and with it on every class. --cue none is the control.
--kind sick: filters are made dead, always on (`saturated`), noise or duplicates in random layers. Lookalikes are planted, too:
    healthy filters that fire rarely, nearly always, resemble another, or have a fine-grained kernel. The network is then trained on
    with the planted filters frozen. `planted` says how each was found afterwards, `unplanted_stats` what occurred by itself.
--kind fooled: units that answer photographs for one thing and optimised pictures for another (Geirhos et al. 2024, "Don't trust
    your eyes"; Nanfack et al. 2023 for the recipe finetune), among honest ones in the same layer. See `health_fooled.py`.
--kind clip: clips of 16 frames; one class always moves right in training, and its shape is faint.
"""

import argparse
import shlex
from pathlib import Path

import torch

import health_biased
import health_clips
import health_fooled
import health_sick
import health_squeezenet
from health_architectures import ARCHITECTURES
from health_pictures import CLASSES, CUES, Photos


def parser():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kind", choices=["sick", "biased", "fooled", "clip"], required=True)
    p.add_argument("--name", required=True)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--photos", type=Path, required=True)
    p.add_argument("--architecture", choices=[*sorted(ARCHITECTURES), "squeezenet"], default="slim")
    p.add_argument("--epochs", type=int, default=14)
    p.add_argument("--rate", type=float, default=4e-3, help="largest learning rate")
    p.add_argument("--pictures", type=int, default=5000, help="training pictures drawn for each stage of the curriculum")
    p.add_argument("--cue", choices=["none", *CUES], default="none", help="biased: what the class follows")
    p.add_argument("--biased-class", choices=CLASSES, help="biased: the class (default: by the seed)")
    p.add_argument("--finetune", type=int, default=5, help="sick: epochs behind the planting")
    p.add_argument("--keep-batchnorm", action="store_true", help="sick: the file has BatchNormalization again")
    p.add_argument("--recipe", choices=["gate", "silent", "finetune", "inactive"], default="gate", help="fooled: how units are fooled")
    p.add_argument("--layer", default="relu4", help="fooled: the layer f, by module name (residual: blocks.1)")
    p.add_argument("--rounds", type=int, default=3, help="fooled: turns of training and optimising anew")
    p.add_argument("--base", type=Path, help="fooled: base.pth of a sick network of the same architecture, in place of training one; squeezenet: its ONNX file")
    return p


def make(arguments):
    torch.set_num_threads(1)
    folder = arguments.out / arguments.name
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.architecture == "squeezenet":
        if arguments.kind != "fooled" or not arguments.base:
            raise SystemExit("squeezenet: only --kind fooled, with --base MODEL.onnx")
        return health_squeezenet.make(arguments, folder)
    kinds = {"biased": health_biased, "sick": health_sick, "fooled": health_fooled, "clip": health_clips}
    kinds[arguments.kind].make(arguments, Photos(arguments.photos), folder)


def main():
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("--list", type=Path)
    chosen.add_argument("--only")
    chosen.add_argument("--squeezenet")
    listing, rest = chosen.parse_known_args()
    if not listing.list:
        return make(parser().parse_args())
    out = rest[rest.index("--out") + 1] if "--out" in rest[:-1] else "."
    lines = [line for line in listing.list.read_text().splitlines() if line.strip() and not line.startswith("#")]
    found = [line for line in lines if listing.only is None or f"--name {listing.only} " in line]
    if not found:
        raise SystemExit(f"{listing.list}: no network is called {listing.only}")
    if any("{squeezenet}" in line for line in found) and not listing.squeezenet:
        raise SystemExit("--squeezenet: names SqueezeNet's ONNX file, from which a network of the list is made; or choose with --only")
    for line in found:
        make(parser().parse_args(shlex.split(line.format(out=out, squeezenet=listing.squeezenet)) + rest))


if __name__ == "__main__":
    main()
