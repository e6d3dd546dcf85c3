"""Measures optimised clips and flow of networks whose truth is known: classes "shape-direction", y points down.

    python scripts/video_truth.py truth MODEL.onnx --oneiro target/release/oneiro --seeds 0-4
    python scripts/video_truth.py penalty MODEL.onnx --vary gamma --seeds 0
    python scripts/video_truth.py penalty MODEL.onnx --vary kappa --seeds 0

Needs numpy, safetensors, onnxruntime and the program ffmpeg. The card MODEL.toml and its labels say what the inputs take.

truth: renders every class with `oneiro video --class all`. Of a two-stream network, motion is the mean of the optimised flow;
of a 3-D network, the mean of what `oneiro flow` (TV-L1) finds in the written film. Reported for each seed:
  pairs      opposite directions of a shape that are in the right order; of two streams, by at least 15 % of the field's rms
  sign, axis classes whose motion is largest along the right axis, with the right sign
  own        classes that the network names when it is shown the picture: as optimised, rounded to 8 bits, and as MP4 (3-D)
  still      shapes that a two-stream network names with the flow set to zero
penalty: renders every class for 0, 1, 5 and 10 of gamma or kappa. Variation in time is the sum of squared differences between
neighbouring frames divided by that of differences from the mean over time; variation in space accordingly. Reported are the mean over
classes, the classes for which it falls at each step, and those whose logit stays above half of that at 0.
"""

import argparse
import json
import subprocess
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import onnxruntime
from safetensors.numpy import load_file

AXIS = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}
OPPOSITE = [("left", "right"), ("up", "down")]
LEAST_MARGIN = 0.15
WEIGHTS = [0, 1, 5, 10]


class Network:
    def __init__(self, path):
        self.path = Path(path)
        self.card = tomllib.loads(self.path.with_suffix(".toml").read_text())
        self.labels = (self.path.parent / self.card["labels"]).read_text().split()
        self.inputs = self.card["input"]
        self.session = onnxruntime.InferenceSession(str(path))

    def is_two_stream(self):
        return any(given["kind"] == "flow" for given in self.inputs)

    def logits(self, pictures):
        """Runs the network on pictures in the units of the file of `--raw`, by the name of the input."""
        feed = {}
        for given, real in zip(self.inputs, self.session.get_inputs()):
            x = pictures[given["name"]].astype(np.float32)
            if given["kind"] == "flow":
                x = np.clip(x / given["range"], -1, 1)
            else:
                shape = (-1,) + (1,) * (x.ndim - 1)
                mean, std = (np.array(given[key], np.float32).reshape(shape) for key in ("mean", "std"))
                x = (np.clip(x, 0, 1) * given["range"] - mean) / std
            feed[real.name] = x[None]
        return self.session.run(None, feed)[0][0]

    def rounded(self, pictures):
        kinds = {given["name"]: given for given in self.inputs}
        out = {}
        for name, x in pictures.items():
            bound = kinds[name].get("range", 1.0) if kinds[name]["kind"] == "flow" else None
            low, high = (-bound, bound) if bound else (0.0, 1.0)
            out[name] = np.round((np.clip(x, low, high) - low) / (high - low) * 255) / 255 * (high - low) + low
        return out


def oneiro(o, *args):
    command = [o.oneiro, *map(str, args), "--quiet", "--no-config"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def render(o, network, seed, folder, *extra):
    """Renders all classes. Returns the pictures of each, and of each clip the film."""
    raw = folder / "raw.safetensors"
    args = ["--class", "all", "--seed", seed, "--out", f"{folder}/", "--format", "mp4", "--raw", raw, "--json"]
    report = json.loads(oneiro(o, "video", network.path, *args, *extra, *o.args.split()))
    tensors, units = load_file(raw), report["units"]
    pictures = [{name: tensors[f"{name}/{at}"] for name in (i["name"] for i in network.inputs)} for at in range(len(units))]
    return pictures, report


def decoded(film, size):
    """Returns a film's frames as [C, T, H, W] in 0-1. Films of small clips are enlarged; the pixels are averaged back."""
    height, width = size
    scale = ["-vf", f"scale={width}:{height}:flags=area"]
    command = ["ffmpeg", "-v", "error", "-i", film, *scale, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    frames = np.frombuffer(raw, np.uint8).reshape(-1, *size, 3)
    return frames.transpose(3, 0, 1, 2) / 255


def motion_of(o, network, pictures, film, folder):
    """Returns the mean flow (u, v), and the flow's root mean square."""
    if network.is_two_stream():
        flow = next(pictures[given["name"]] for given in network.inputs if given["kind"] == "flow")
        flow = flow.reshape(-1, 2, *flow.shape[1:])
    else:
        size = "x".join(str(side) for side in network.inputs[0]["size"])
        oneiro(o, "flow", film, "--size", size, "--out", folder / "flow.npy")
        flow = np.load(folder / "flow.npy")
    return flow.mean(axis=(0, 2, 3)), np.sqrt((flow**2).sum(1).mean())


def truth(o, network):
    clip = next((given for given in network.inputs if given["kind"] == "clip"), None)
    totals = np.zeros(7, int)
    margins = []
    print("seed | pairs | sign, axis | own | own, 8 bits | own, MP4 | still")
    for seed in o.seeds:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            pictures, report = render(o, network, seed, folder)
            films = [file for file in report["files"] if file.endswith(".mp4")]
            motions, own, wrong = {}, np.zeros(4, int), []
            for label, of_class, film in zip(network.labels, pictures, films):
                index = network.labels.index(label)
                motions[label] = motion_of(o, network, of_class, film, folder)
                shown = [of_class, network.rounded(of_class)]
                if clip:
                    shown.append({clip["name"]: decoded(film, clip["size"])})
                named = [int(network.logits(x).argmax()) for x in shown]
                own[: len(named)] += [name == index for name in named]
                wrong += [f"{label} is named {network.labels[name]}" for name in named[-1:] if name != index]
                if not clip:
                    still = {name: x * (name != "flow") for name, x in of_class.items()}
                    named = network.labels[int(network.logits(still).argmax())]
                    own[3] += named.split("-")[0] == label.split("-")[0]
            pairs = 0
            for shape in dict.fromkeys(label.split("-")[0] for label in network.labels):
                for low, high in OPPOSITE:
                    (a, rms_a), (b, rms_b) = motions[f"{shape}-{low}"], motions[f"{shape}-{high}"]
                    axis = AXIS[low][0]
                    margin = (b[axis] - a[axis]) / max(rms_a, rms_b)
                    margins.append(margin)
                    pairs += margin >= (LEAST_MARGIN if not clip else 1e-9)
            right = 0
            for label, (mean, _) in motions.items():
                axis, sign = AXIS[label.split("-")[1]]
                good = np.argmax(np.abs(mean)) == axis and np.sign(mean[axis]) == sign
                right += good
                wrong += [] if good else [f"{label} moves by {mean[0]:+.3f}, {mean[1]:+.3f}"]
            row = [pairs, right, *own]
            totals[:6] += row
            print(seed, *row, sep=" | ", end="".join(f"; {what}" for what in wrong) + "\n", flush=True)
    print("all", *totals[:6], sep=" | ")
    print(f"margins of pairs, as a share of the field's rms: least {min(margins):.2f}, median {np.median(margins):.2f}")


def variations(network, pictures):
    """Returns the variation in time and in space of what moves."""
    name = next((g["name"] for g in network.inputs if g["kind"] == "flow"), network.inputs[0]["name"])
    x = pictures[name].astype(np.float64)
    x = x.reshape(-1, 2, *x.shape[1:]).transpose(1, 0, 2, 3) if network.is_two_stream() else x
    time = (np.diff(x, axis=1) ** 2).sum() / ((x - x.mean(1, keepdims=True)) ** 2).sum()
    around = ((x - x.mean((2, 3), keepdims=True)) ** 2).sum()
    space = ((np.diff(x, axis=2) ** 2).sum() + (np.diff(x, axis=3) ** 2).sum()) / around
    return time, space


def penalty(o, network):
    for seed in o.seeds:
        of_weight = []
        for weight in WEIGHTS:
            with tempfile.TemporaryDirectory() as folder:
                pictures, report = render(o, network, seed, Path(folder), f"--{o.vary}", weight)
            which = 0 if o.vary == "gamma" else 1
            values = [unit["value"] for unit in report["units"]]
            of_weight.append(([variations(network, x)[which] for x in pictures], values))
            print(f"seed {seed}, {o.vary} {weight}: variation {np.mean(of_weight[-1][0]):.4f}, logit {np.mean(values):.1f}", flush=True)
        variation = np.array([of[0] for of in of_weight])
        values = np.array([of[1] for of in of_weight])
        falls = (np.diff(variation, axis=0) < 0).all(0)
        share = values / values[0]
        kept = (share[1:] > 0.5).all(0)
        print(f"seed {seed}: falls for {falls.sum()} of {len(falls)}; logit above half for {kept.sum()} of {len(kept)}")
        for at in np.flatnonzero(~falls):
            print(f"  {network.labels[at]}: variation " + ", ".join(f"{v:.3f}" for v in variation[:, at]))
        for at in np.flatnonzero(~kept):
            print(f"  {network.labels[at]}: logit " + ", ".join(f"{s:.2f}" for s in share[1:, at]))


def seeds(text):
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["truth", "penalty"])
    parser.add_argument("model")
    parser.add_argument("--oneiro", default="target/release/oneiro")
    parser.add_argument("--seeds", type=seeds, default=range(5))
    parser.add_argument("--vary", choices=["gamma", "kappa"], default="gamma")
    parser.add_argument("--args", default="", help="further arguments of oneiro video")
    o = parser.parse_args()
    {"truth": truth, "penalty": penalty}[o.what](o, Network(o.model))


if __name__ == "__main__":
    main()
