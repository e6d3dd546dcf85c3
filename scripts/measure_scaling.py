"""Measures how the time of one forward pass and input gradient grows with the batch, the size and the threads.

    pip install matplotlib
    python scripts/measure_scaling.py resnet50.onnx --oneiro target/release/oneiro --plot docs/scaling.png

Runs `oneiro bench MODEL --json` over batches 1 to 64, square sizes 64 to 512 and 1 thread to all, and draws the time for
each picture, for each pixel, and the speed-up over one thread. `--capture` names the layer to run up to.
"""

import argparse
import json
import os
import subprocess

BATCHES = (1, 2, 4, 8, 16, 32, 64)
SIDES = (64, 96, 128, 192, 224, 256, 320, 384, 448, 512)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model", nargs="+")
    a.add_argument("--oneiro", default="target/release/oneiro")
    a.add_argument("--capture", default="output")
    a.add_argument("--threads", type=int, default=os.cpu_count())
    a.add_argument("--plot")
    o = a.parse_args()

    def bench(model, batch, side, threads):
        command = [o.oneiro, "bench", model, "--capture", o.capture, "--batch", str(batch), "--size", str(side), "--threads",
                   str(threads), "--json"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["seconds"]

    results = {}
    for model in o.model:
        name = os.path.basename(model).removesuffix(".onnx")
        batches = [(n, bench(model, n, 224, o.threads) / n) for n in BATCHES]
        sides = [(s, bench(model, 1, s, o.threads)) for s in SIDES]
        threads = [(t, bench(model, 1, 224, t)) for t in range(1, o.threads + 1)]
        results[name] = (batches, sides, threads)
        print(name)
        print("  ms a picture by batch:", ", ".join(f"{n}: {t * 1e3:.1f}" for n, t in batches))
        print("  ms by side:", ", ".join(f"{s}: {t * 1e3:.1f}" for s, t in sides))
        print("  ms by threads:", ", ".join(f"{n}: {t * 1e3:.1f}" for n, t in threads), flush=True)
    if o.plot:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(12, 3.6))
        for name, (batches, sides, threads) in results.items():
            left.plot(*zip(*((n, t / batches[0][1]) for n, t in batches)), "o-", label=name)
            at = dict(sides)[224] / 224**2
            middle.plot(*zip(*((s, t / s**2 / at) for s, t in sides)), "o-", label=name)
            right.plot(*zip(*((n, threads[0][1] / t) for n, t in threads)), "o-", label=name)
        left.set(xscale="log", xlabel="batch", title="time for each picture, batch 1 = 1")
        middle.set(xlabel="side of the picture", title="time for each pixel, 224 = 1")
        right.set(xlabel="threads", title="speed-up")
        right.plot([1, o.threads], [1, o.threads], "k:", linewidth=1)
        for axis in (left, middle):
            axis.axhline(1, color="k", linestyle=":", linewidth=1)
            axis.set_ylim(bottom=0)
        left.legend()
        figure.tight_layout()
        figure.savefig(o.plot, dpi=110)


if __name__ == "__main__":
    main()
