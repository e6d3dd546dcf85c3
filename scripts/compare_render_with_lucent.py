"""Compares a whole rendering with torch-lucent's: the total time, and the final value of the objective.

    pip install torch torchvision torch-lucent onnx matplotlib
    python scripts/compare_render_with_lucent.py --oneiro target/release/oneiro --nets googlenet,resnet50

The recipe is Lucid's in both: Fourier space with decorrelated colours, Adam at 0.05, the standard transforms, at a fixed
size. Networks have random weights of a fixed seed (what is compared is the optimisation, not the picture), the objective
is the mean of channel 5 of a deep layer, before any ReLU. oneiro's time is that of the whole process, loading and compiling
included; Lucent's is that of `render_vis` alone. Values are those of the objective on the picture without transforms after
8, 32, 128 and 512 steps. Writes a line a network, and a picture of the curves with --plot.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
import warnings

warnings.filterwarnings("ignore")

CHECKPOINTS = (8, 32, 128, 512)
# Networks by torchvision's name, each with the number of last children that are left out.
NETS = {"googlenet": 3, "resnet50": 2, "vgg16": None, "squeezenet1_1": None}


def build(name):
    import torch
    import torchvision

    torch.manual_seed(0)
    extra = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    net = getattr(torchvision.models, name)(weights=None, **extra).eval()
    if NETS[name] is None:
        net = net.features[:29] if name == "vgg16" else net.features
    else:
        net = torch.nn.Sequential(*list(net.children())[: -NETS[name]])
    wrapped = torch.nn.Sequential(net)
    for p in wrapped.parameters():
        p.requires_grad_(False)
    return wrapped.eval()


def lucent(net, size, steps, seed):
    import torch
    from lucent.optvis import objectives, param, render, transform

    torch.manual_seed(seed)
    values = []

    @objectives.wrap_objective()
    def channel():
        return lambda model: -net.last[:, 5].mean()

    def hook(_, __, output):
        net.last = output

    handle = net.register_forward_hook(hook)
    params, image = param.image(size, fft=True, decorrelate=True)
    made = {}

    def param_f():
        made["image"] = image
        return params, image

    seconds = 0.0
    optimizer = lambda p: torch.optim.Adam(p, lr=0.05)
    started = time.perf_counter()
    render.render_vis(net, channel(), param_f, optimizer=optimizer, transforms=list(transform.standard_transforms),
                      thresholds=(steps,), verbose=False, preprocess=True, progress=False, show_image=False,
                      fixed_image_size=size)
    seconds = time.perf_counter() - started
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.no_grad():
        net((image() - mean) / std)
    value = net.last[:, 5].mean().item()
    handle.remove()
    return seconds, value


def oneiro(binary, path, size, steps, threads, seed):
    out = os.path.join(tempfile.gettempdir(), "compare_render.png")
    started = time.perf_counter()
    result = subprocess.run(
        [binary, "render", path, "--objective", "channel(output,5)", "--size", str(size), "--steps", str(steps), "--seed",
         str(seed), "--threads", str(threads), "--preprocess", "imagenet", "--out", out, "--json", "--no-config"],
        capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    return seconds, json.loads(result.stdout)["units"][0]["value"]


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--oneiro", default="target/release/oneiro")
    a.add_argument("--nets", default="googlenet,resnet50")
    a.add_argument("--size", type=int, default=224)
    a.add_argument("--threads", type=int, default=os.cpu_count())
    a.add_argument("--plot")
    o = a.parse_args()
    import torch

    torch.set_num_threads(o.threads)
    curves = {}
    for name in o.nets.split(","):
        net = build(name)
        path = os.path.join(tempfile.gettempdir(), f"compare_render_{name}.onnx")
        torch.onnx.export(net, (torch.randn(1, 3, o.size, o.size),), path, input_names=["x"], output_names=["output"],
                          opset_version=17, dynamo=False)
        theirs = [lucent(net, o.size, steps, 0) for steps in CHECKPOINTS]
        ours = [oneiro(o.oneiro, path, o.size, steps, o.threads, 0) for steps in CHECKPOINTS]
        curves[name] = (theirs, ours)
        print(f"{name:14s} {o.size} px, {CHECKPOINTS[-1]} steps: lucent {theirs[-1][0]:6.1f} s, oneiro {ours[-1][0]:6.1f} s,"
              f" ratio {theirs[-1][0] / ours[-1][0]:.2f}; objective after {CHECKPOINTS}: lucent "
              + " ".join(f"{v:.3g}" for _, v in theirs) + ", oneiro " + " ".join(f"{v:.3g}" for _, v in ours), flush=True)
    if o.plot:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(1, len(curves), figsize=(4.5 * len(curves), 3.4), squeeze=False)
        for axis, (name, (theirs, ours)) in zip(axes[0], curves.items()):
            axis.plot([t for t, _ in theirs], [v for _, v in theirs], "o-", label="torch-lucent")
            axis.plot([t for t, _ in ours], [v for _, v in ours], "o-", label="oneiro")
            axis.set(title=name, xlabel="seconds", ylabel="objective, transforms off", xscale="log")
            axis.legend()
        figure.tight_layout()
        figure.savefig(o.plot, dpi=110)


if __name__ == "__main__":
    main()
