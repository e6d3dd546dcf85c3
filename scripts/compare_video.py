"""Compares the time and memory of optimising video inputs with PyTorch's, for a two-stream VGG-16 and R3D-18.

    python scripts/make_video_networks.py --out target/video-networks
    python scripts/compare_video.py --oneiro target/release/oneiro --json video.json
    python scripts/compare_video.py --what bench --turns 7          passes only
    python scripts/compare_video.py --what steps --only r3d_18 --steps 10,300 --recipe published

Needs Linux, and for PyTorch's side `torch` and `torchvision`. `video_in_pytorch.py` says what PyTorch does.

bench: forward and input gradient of the mean of channel 5, up to conv5_fusion or layer4. Compares the median of `oneiro bench
    --capture` with that of PyTorch's passes. The two-stream network has the gradients of both inputs. On a machine with other
    work use --threads 1: PyTorch's threads wait for the slowest of them at every layer, which would count against it.
steps: one step of optimisation. Seconds and CPU seconds per step of oneiro are the differences of two runs with different
    --steps, divided by the difference in steps, so that start-up and files do not count. PyTorch's are the median of
    --pytorch-steps steps. "minutes" are those of 300 steps with start-up: a run of oneiro with the larger number of --steps, and
    PyTorch's time until its first step, each extended to 300 by seconds per step.

Both sides take turns: A B A B. The ratio of a turn is PyTorch's time divided by oneiro's; above 1, oneiro is faster. Reported are
the medians, and the smallest and largest ratio. The CPU ratio depends less on other programs. Both memory layouts of PyTorch
are tried first and the faster one is used, in one process for all turns. Peak memory is the largest resident size of a
process, weights and libraries included.

--two-stream-command and --clip-command are the commands of oneiro, with {oneiro}, {model}, {steps}, {threads} and {out}.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# PyTorch is not imported here: a child process would count this process's memory as part of its own peak.
HERE = Path(__file__).resolve().parent
LAYERS = {"two_stream_vgg16": "conv5_fusion", "r3d_18": "layer4"}
LAYOUTS = ("contiguous", "channels_last")
# Number of passes or steps that decide between memory layouts, after one to warm up.
TRIED = 3
# Number of steps for which the total minutes of a clip are printed.
CLIP_STEPS = 300
TWO_STREAM = (
    "{oneiro} video {model} --unit conv5_fusion:5 --preset feichtenhofer20 --steps {steps} --threads {threads}"
    " --no-config --quiet --out {out}"
)
CLIP = (
    "{oneiro} video {model} --unit layer4:5 --set views=1 --steps {steps} --threads {threads}"
    " --no-config --quiet --out {out}"
)


class PyTorch:
    """Runs `video_in_pytorch.py` in a process of its own, which waits between turns."""

    def __init__(self, o, network, layout):
        command = [sys.executable, HERE / "video_in_pytorch.py", network, "--layout", layout, "--networks", o.networks]
        command += ["--threads", str(o.threads), "--recipe", o.recipe]
        self.started = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, what, count):
        self.process.stdin.write(f"{what} {count}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("PyTorch's side ended early; its message is above")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def faster_layout(o, network, what):
    """Returns the faster of PyTorch's memory layouts, and the median seconds of both."""
    medians = {}
    for layout in LAYOUTS:
        with PyTorch(o, network, layout) as pytorch:
            medians[layout] = statistics.median(pytorch.ask(what, TRIED + 1)["seconds"][1:])
    return min(medians, key=medians.get), medians


def run(command):
    """Runs oneiro; returns its output, wall-clock seconds, CPU seconds and peak memory in bytes."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        if process.returncode:
            raise SystemExit(f"{shlex.join(map(str, command))} failed: {errors.read().strip()}")
        output.seek(0)
        cpu = usage.ru_utime + usage.ru_stime
        return {"output": output.read(), "seconds": seconds, "cpu": cpu, "peak_bytes": usage.ru_maxrss * 1024}


def bench_turn(o, network, pytorch, _):
    command = [o.oneiro, "bench", o.networks / f"{network}.onnx", "--capture", LAYERS[network], "--threads", str(o.threads)]
    ran = run([*command, "--no-config", "--json"])
    found = json.loads(ran["output"])
    theirs = pytorch.ask("bench", o.passes)
    return {
        "oneiro": {"seconds": found["seconds"], "peak_bytes": ran["peak_bytes"]},
        "pytorch": theirs | {"seconds": statistics.median(theirs["seconds"])},
    }


def steps_turn(o, network, pytorch, folder):
    template = o.two_stream_command if network == "two_stream_vgg16" else o.clip_command
    runs = []
    for steps in o.steps:
        values = {"oneiro": o.oneiro, "model": o.networks / f"{network}.onnx", "steps": steps, "threads": o.threads,
                  "out": folder / "clip.png"}
        runs.append(run([word.format(**values) for word in shlex.split(template)]))
    short, long = runs
    more = o.steps[1] - o.steps[0]
    step = (long["seconds"] - short["seconds"]) / more
    theirs = pytorch.ask("steps", o.pytorch_steps)
    their_step = statistics.median(theirs["seconds"])
    return {
        "oneiro": {"seconds": step, "cpu": (long["cpu"] - short["cpu"]) / more, "peak_bytes": long["peak_bytes"],
                   "minutes": (long["seconds"] + (CLIP_STEPS - o.steps[1]) * step) / 60},
        "pytorch": theirs | {"seconds": their_step, "minutes": (pytorch.load + CLIP_STEPS * their_step) / 60},
    }


def measure(o, network, what):
    """Measures one network in turns; returns the turns and their medians."""
    layout, layouts = faster_layout(o, network, what)
    turn = bench_turn if what == "bench" else steps_turn
    with tempfile.TemporaryDirectory() as folder, PyTorch(o, network, layout) as pytorch:
        first = pytorch.ask(what, 1)["seconds"][0]
        pytorch.load = time.perf_counter() - pytorch.started - first
        turns = [turn(o, network, pytorch, Path(folder)) for _ in range(o.turns)]

    def median(side, key):
        return statistics.median(t[side][key] for t in turns) if key in turns[0][side] else None

    keys = ("seconds", "cpu", "peak_bytes", "minutes")
    result = {"network": network, "what": what, "layer": LAYERS[network], "layout": layout, "layouts": layouts,
              "threads": o.threads, "load_average": os.getloadavg()}
    result |= {side: {key: median(side, key) for key in keys} for side in ("oneiro", "pytorch")}
    for key in ("seconds", "cpu"):
        if key in turns[0]["oneiro"]:
            ratios = sorted(t["pytorch"][key] / t["oneiro"][key] for t in turns)
            result[f"ratio_{key}"] = {"median": statistics.median(ratios), "least": ratios[0], "most": ratios[-1]}
    return result | {"turns": turns}


def pytorch_alone(o, network, what):
    layout, layouts = faster_layout(o, network, what)
    with PyTorch(o, network, layout) as pytorch:
        pytorch.ask(what, 1)
        found = pytorch.ask(what, o.pytorch_steps)
    found = found | {"seconds": statistics.median(found["seconds"]), "all": found["seconds"], "minutes": None}
    return {"network": network, "what": what, "layer": LAYERS[network], "layout": layout, "layouts": layouts,
            "threads": o.threads, "load_average": os.getloadavg(), "pytorch": found}


def table(results):
    def cell(value, scale=1.0, digits=2):
        return "–" if value is None else f"{value * scale:.{digits}f}"

    def ratio(r):
        return f"{r['median']:.2f} ({r['least']:.2f}–{r['most']:.2f})" if r else "–"

    lines = [
        "| network | measured | side | s | CPU s | ratio | CPU ratio | peak MB | minutes of 300 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        for side in ("oneiro", "pytorch"):
            if side not in r:
                continue
            s, ours = r[side], side == "oneiro"
            name = side if ours else f"PyTorch, {r['layout']}"
            ratios = [ratio(r.get(f"ratio_{key}")) if ours else "" for key in ("seconds", "cpu")]
            cells = [r["network"], f"{r['what']}, {r['layer']}", name, cell(s["seconds"]), cell(s["cpu"]), *ratios,
                     cell(s["peak_bytes"], 1e-6, 0), cell(s["minutes"])]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--oneiro", default="target/release/oneiro")
    a.add_argument("--networks", type=Path, default=Path("target/video-networks"))
    a.add_argument("--only", choices=LAYERS, action="append")
    a.add_argument("--what", choices=("bench", "steps"), action="append", help="both by default")
    a.add_argument("--turns", type=int, default=5)
    a.add_argument("--threads", type=int, default=os.cpu_count())
    a.add_argument("--passes", type=int, default=5, help="PyTorch's passes a turn")
    a.add_argument("--steps", type=lambda s: sorted(map(int, s.split(","))), default=[4, 16], help="of oneiro's two runs")
    a.add_argument("--pytorch-steps", type=int, default=6, help="a turn")
    a.add_argument("--recipe", choices=("published", "penalised"), default="published", help="of PyTorch, for r3d_18")
    a.add_argument("--two-stream-command", default=TWO_STREAM)
    a.add_argument("--clip-command", default=CLIP)
    a.add_argument("--pytorch-only", action="store_true")
    a.add_argument("--json", type=Path, help="file of the results, with every turn")
    o = a.parse_args()
    if len(o.steps) != 2 or o.steps[0] == o.steps[1]:
        a.error("--steps takes two different numbers, such as 4,16")
    results = []
    for network in o.only or LAYERS:
        for what in o.what or ("bench", "steps"):
            results.append((pytorch_alone if o.pytorch_only else measure)(o, network, what))
            print(table(results[-1:]).splitlines()[-1], flush=True)
            if o.json:
                o.json.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{table(results)}")


if __name__ == "__main__":
    main()
