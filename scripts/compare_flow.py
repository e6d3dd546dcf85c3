"""Compares TV-L1 flow with OpenCV's on consecutive frames of videos, and measures the speed of both in turn.

    python3 scripts/compare_flow.py VIDEO... [--pairs 4] [--size 320x240] [--rounds 5] [--threads 2]
    python3 scripts/compare_flow.py --fixture crates/oneiro-media/tests/data/tvl1

Needs ffmpeg, and numpy and opencv-contrib-python-headless from PyPI; scikit-image, if it is there, is a second
witness with its own parameters. With --noise, OpenCV is also compared with itself on frames to which a millionth
of white was added: no comparison can be closer than rounding allows. Builds the example `tvl1` of oneiro-media. Without --size, frames keep the
video's size. Exit status 1 if a video misses the tolerances below. The second form writes a small pair of frames
and OpenCV's flow, which the crate's tests read.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

# Limits of the endpoint error in pixels: largest median, and the least share of pixels within the second value.
MEDIAN, WITHIN, SHARE = 0.05, 0.1, 0.9
# Standard deviation of the noise that --noise adds, where white is 1.
NOISE = 1e-6
# A pair of frames whose mean absolute difference of luminance is above this is a cut between scenes.
CUT = 30.0


def frames_of(video, size):
    """Reads the RGB frames of a video, `[T, H, W, 3]`."""
    probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height"]
    listed = subprocess.run([*probe, "-of", "csv=p=0", video], capture_output=True, text=True, check=True)
    width, height = map(int, re.findall(r"\d+", listed.stdout)[:2])
    scale = []
    if size:
        width, height = size
        scale = ["-vf", f"scale={width}:{height}"]
    command = ["ffmpeg", "-v", "error", "-i", video, *scale, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def ours(program, grays, threads, each=False):
    """Computes the flow of consecutive frames with oneiro, `[T, 2, H, W]`; returns it with the seconds per pair."""
    height, width = grays[0].shape
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "gray"), Path(folder, "flow")
        source.write_bytes(b"".join(gray.tobytes() for gray in grays))
        command = [program, source, str(width), str(height), out] + ["each"] * each
        environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return np.fromfile(out, "<f4").reshape(-1, 2, height, width), float(run.stdout)


def opencv(grays):
    """Computes the flow of consecutive frames with OpenCV at its defaults."""
    method = cv2.optflow.DualTVL1OpticalFlow_create()
    start = time.perf_counter()
    fields = [method.calc(a, b, None) for a, b in zip(grays, grays[1:])]
    seconds = (time.perf_counter() - start) / len(fields)
    return np.stack(fields).transpose(0, 3, 1, 2), seconds


def scikit_image(grays):
    """Computes the flow with scikit-image at its own, different defaults; returns None without the package."""
    try:
        from skimage.registration import optical_flow_tvl1
    except ImportError:
        return None
    return np.stack([optical_flow_tvl1(a / 255, b / 255)[::-1] for a, b in zip(grays, grays[1:])])


def differences(a, b):
    return np.hypot(*np.moveaxis(a - b, 1, 0))


def fixture(folder):
    """Writes two frames of 72×56 pixels and OpenCV's flow: a texture that turns and grows, behind a moving square."""
    height, width = 56, 72
    noise = cv2.GaussianBlur(np.random.default_rng(7).random((2, 96, 96)).astype(np.float32)[0], (0, 0), 1.5)
    noise = (noise - noise.min()) / np.ptp(noise) * 255
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 1.5, 1.02)
    frames = [noise[:height, :width], cv2.warpAffine(noise, turn, (width, height), flags=cv2.INTER_CUBIC)]
    for t, frame in enumerate(frames):
        frame[16 + t : 36 + t, 24 + 2 * t : 48 + 2 * t] = noise[60:80, 60:84]
    frames = [np.clip(frame, 0, 255).round().astype(np.uint8) for frame in frames]
    flow, _ = opencv(frames)
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, frame in zip("ab", frames):
        cv2.imwrite(str(Path(folder, f"{name}.png")), frame)
    np.savez_compressed(Path(folder, "opencv.npz"), flow=flow)
    print(f"OpenCV {cv2.__version__}: motion {np.hypot(*flow[0]).mean():.2f} px on average")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="*")
    parser.add_argument("--pairs", type=int, default=4, help="pairs of each video, evenly spread; 0 for all")
    parser.add_argument("--size", type=lambda text: tuple(map(int, text.split("x"))))
    parser.add_argument("--rounds", type=int, default=0, help="rounds of the speed comparison")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--noise", action="store_true", help="compare OpenCV with itself, too")
    parser.add_argument("--fixture", help="folder for the pair that tests read; nothing else is done")
    arguments = parser.parse_args()
    if arguments.fixture:
        return fixture(arguments.fixture)
    if not arguments.videos:
        parser.error("name a video")
    cv2.setNumThreads(arguments.threads)
    build = ["cargo", "build", "-q", "--release", "-p", "oneiro-media", "--example", "tvl1"]
    subprocess.run(build, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    program = Path(target, "release/examples/tvl1")
    print(f"OpenCV {cv2.__version__}, {arguments.threads} threads")
    missed = False
    for video in arguments.videos:
        grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames_of(video, arguments.size)]
        moves = [np.abs(a.astype(float) - b).mean() for a, b in zip(grays, grays[1:])]
        chosen = [t for t, move in enumerate(moves) if move <= CUT]
        if arguments.pairs:
            count = min(arguments.pairs, len(chosen))
            chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, count).round().astype(int)]
        found, errors, lengths, witness, own = [], [], [], [], []
        for t in chosen:
            pair = grays[t : t + 2]
            flow, _ = ours(program, pair, arguments.threads)
            expected, _ = opencv(pair)
            errors.append(differences(flow, expected))
            lengths.append(np.hypot(*np.moveaxis(expected, 1, 0)))
            if arguments.noise:
                noise = np.random.default_rng(t).normal(0, NOISE, (2, *pair[0].shape))
                noisy = [(gray / 255 + added).astype(np.float32) for gray, added in zip(pair, noise)]
                own.append(differences(opencv(noisy)[0], expected))
            other = scikit_image(pair)
            if other is not None:
                witness.append(differences(flow, other))
        errors = np.stack(errors)
        share = (errors <= WITHIN).mean()
        ok = np.median(errors) <= MEDIAN and share >= SHARE
        missed |= not ok
        found.append(f"median {np.median(errors):.4f} px, {100 * share:.2f} % within {WITHIN} px")
        found.append(f"worst pair {100 * min((e <= WITHIN).mean() for e in errors):.2f} %")
        found.append(f"99 % within {np.percentile(errors, 99):.3f} px")
        found.append(f"motion {np.mean(lengths):.2f} px on average")
        if own:
            own = np.stack(own)
            share = 100 * (own <= WITHIN).mean()
            found.append(f"OpenCV with noise: median {np.median(own):.4f} px, {share:.2f} % within {WITHIN} px")
        if witness:
            found.append(f"scikit-image: median {np.median(np.stack(witness)):.3f} px")
        height, width = grays[0].shape
        print(f"{Path(video).name} {width}×{height}, {len(chosen)} pairs: {'; '.join(found)}", flush=True)
        if arguments.rounds:
            ratios, seconds = [], []
            for i in range(arguments.rounds):
                t = chosen[i % len(chosen)]
                _, mine = ours(program, grays[t : t + 2], arguments.threads)
                _, other = opencv(grays[t : t + 2])
                ratios.append(other / mine)
                seconds.append((mine, other))
            mine, other = np.median(seconds, axis=0)
            print(
                f"  {1000 * mine:.0f} ms a pair, OpenCV {1000 * other:.0f} ms; ratio in turns: median"
                f" {np.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}",
                flush=True,
            )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
