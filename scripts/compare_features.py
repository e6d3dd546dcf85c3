"""Compares the feature networks hog, hogb and dsift with VLFeat and OpenCV.

    apt-get download libvlfeat1 && dpkg -x libvlfeat1_*.deb vlfeat
    pip install numpy safetensors opencv-python-headless
    python scripts/compare_features.py --oneiro target/release/oneiro --vlfeat vlfeat/usr/lib/*/libvl.so.1

VLFeat 0.9.21 is the reference: its C functions are called through ctypes on the same luminance, in 0-1. Errors are
relative to the norm of the reference (and the largest difference to its largest value). OpenCV's SIFT descriptors follow
other conventions; what can be compared is said in `opencv`.

With --write FILE the image "crop" and VLFeat's features of it are stored, for the tests of `oneiro-zoo`.
"""

import argparse
import ctypes
import os
import subprocess
import tempfile

import numpy as np
from safetensors.numpy import load_file, save_file

LUMINANCE = np.float32([0.299, 0.587, 0.114])
CELL, BIN, SIDE, WINDOW = 8, 8, 4, 1.5


def crop(height, width, seed):
    """Returns a picture with statistics like those of photographs: smooth noise, an edge, a bar; RGB, 8 bits."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(float)
    image = np.full((3, height, width), 0.5)
    for octave in range(1, 6):
        for _ in range(4):
            angle, phase = rng.uniform(0, 2 * np.pi, 2)
            frequency = 2**octave * np.pi / max(height, width)
            wave = np.cos(frequency * (x * np.cos(angle) + y * np.sin(angle)) + phase)
            image += rng.normal(size=(3, 1, 1)) * 0.1 / octave * wave
    image += 0.25 * ((x + 0.4 * y) > 0.6 * width) - 0.3 * (abs(y - 0.7 * height) < 3)
    return np.clip(np.round(255 * image), 0, 255).astype(np.uint8)


def pictures():
    rng = np.random.default_rng(0)
    edge = lambda angle: (np.mgrid[-32:32, -32:32] * np.array([np.sin(angle), np.cos(angle)])[:, None, None]).sum(0) > 0
    grey = lambda plane: np.repeat((255 * plane).astype(np.uint8)[None], 3, axis=0)
    return {
        "crop": crop(45, 61, 1),
        "large crop": crop(240, 320, 2),
        "noise": rng.integers(0, 256, (3, 64, 80)).astype(np.uint8),
        **{f"edge {d}": grey(edge(np.radians(d))) for d in (0, 30, 45, 90, 200)},
    }


def luminance(image):
    return np.ascontiguousarray(np.tensordot(LUMINANCE, image.astype(np.float32) / np.float32(255), axes=1), np.float32)


class VlFeat:
    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.vl_hog_new.restype = ctypes.c_void_p
        self.lib.vl_dsift_new_basic.restype = ctypes.c_void_p
        for f in ("vl_hog_get_width", "vl_hog_get_height", "vl_hog_get_dimension"):
            getattr(self.lib, f).restype = ctypes.c_ulonglong

    def hog(self, grey, bilinear):
        """Computes VLFeat's HOG, [31, rows, columns]."""
        lib, pointer = self.lib, ctypes.POINTER(ctypes.c_float)
        uoctti = 1
        hog = ctypes.c_void_p(lib.vl_hog_new(uoctti, ctypes.c_ulonglong(9), 0))
        lib.vl_hog_set_use_bilinear_orientation_assignments(hog, int(bilinear))
        size = ctypes.c_ulonglong
        height, width = grey.shape
        lib.vl_hog_put_image(hog, grey.ctypes.data_as(pointer), size(width), size(height), size(1), size(CELL))
        shape = [getattr(lib, f"vl_hog_get_{what}")(hog) for what in ("dimension", "height", "width")]
        out = np.zeros(shape, np.float32)
        lib.vl_hog_extract(hog, out.ctypes.data_as(pointer))
        lib.vl_hog_delete(hog)
        return out

    class Filter(ctypes.Structure):
        """The C struct VlDsiftFilter, as vl/dsift.h declares it."""

        _fields_ = (
            [(n, ctypes.c_int) for n in "width height step_x step_y min_x min_y max_x max_y".split()]
            + [(n, ctypes.c_int) for n in "bins_t bins_x bins_y size_x size_y".split()]
            + [("flat", ctypes.c_int), ("window", ctypes.c_double), ("frames_count", ctypes.c_int)]
            + [("size", ctypes.c_int), ("frames", ctypes.c_void_p), ("descriptors", ctypes.POINTER(ctypes.c_float))]
        )

    def dsift(self, grey, flat=True):
        """Computes VLFeat's dense SIFT, [128, rows, columns]."""
        height, width = grey.shape
        handle = self.lib.vl_dsift_new_basic(width, height, BIN, BIN)
        dsift = self.Filter.from_address(handle)
        assert (dsift.bins_t, dsift.bins_x, dsift.bins_y, dsift.size_x) == (8, SIDE, SIDE, BIN), "another VLFeat"
        dsift.flat, dsift.window = int(flat), WINDOW
        self.lib.vl_dsift_process(ctypes.c_void_p(handle), grey.ctypes.data_as(ctypes.POINTER(ctypes.c_float)))
        rows, columns = ((n - 1 - BIN * (SIDE - 1)) // BIN + 1 for n in (height, width))
        assert dsift.frames_count == rows * columns
        out = np.ctypeslib.as_array(dsift.descriptors, (rows, columns, dsift.size)).copy()
        self.lib.vl_dsift_delete(ctypes.c_void_p(handle))
        return np.ascontiguousarray(out.transpose(2, 0, 1))


def ours(oneiro, name, image, layer=None):
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, n) for n in ("x.npy", "out.safetensors")]
        np.save(paths[0], image[None].astype(np.float32) / np.float32(255))
        layer = layer or name
        command = [oneiro, "run", name, "--input", f"x={paths[0]}", "--capture", layer, "--out", paths[1]]
        subprocess.run(command, check=True, capture_output=True)
        return load_file(paths[1])[f"act/{layer}"][0]


def report(what, found, expected):
    difference = found.astype(float) - expected
    relative = np.linalg.norm(difference) / np.linalg.norm(expected)
    largest = abs(difference).max() / abs(expected).max()
    print(f"{what:42} {str(found.shape):16} relative {relative:.1e}  largest {largest:.1e}")


def opencv(grey, found):
    """OpenCV's SIFT at the centres of our descriptors, upright. A keypoint of size s has bins of 1.5 s pixels (3 times its
    scale, half its size) and a window of 2 bins; gradients come from an image that is smoothed first, y points up, and the
    result is rounded to 8 bits. So only the cosine of the angle between descriptors says anything."""
    try:
        import cv2
    except ImportError:
        return
    rows, columns = found.shape[1:]
    centre = BIN * (SIDE - 1) / 2
    points = [
        cv2.KeyPoint(BIN * c + centre, BIN * r + centre, BIN / 1.5, 360, 1, 0) for r in range(rows) for c in range(columns)
    ]
    points, theirs = cv2.SIFT_create().compute(np.round(255 * grey).astype(np.uint8), points)
    theirs = theirs.reshape(-1, SIDE, SIDE, 8)[..., -np.arange(8) % 8]
    kept = [(int((p.pt[1] - centre) / BIN), int((p.pt[0] - centre) / BIN)) for p in points]
    mine = np.stack([found[:, r, c] for r, c in kept]).reshape(-1, SIDE, SIDE, 8)
    cosines = (mine * theirs).sum((1, 2, 3)) / np.linalg.norm(mine.reshape(len(kept), -1), axis=1)
    cosines /= np.maximum(np.linalg.norm(theirs.reshape(len(kept), -1), axis=1), 1e-9)
    print(f"{'dsift, cosine with OpenCV':42} {len(kept)} descriptors  median {np.median(cosines):.4f}  least {cosines.min():.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--vlfeat", required=True, help="libvl.so of VLFeat 0.9.21")
    parser.add_argument("--oneiro", help="the program; without it nothing is compared")
    parser.add_argument("--write", metavar="FILE.safetensors", help="where to store the reference for the tests")
    args = parser.parse_args()
    vlfeat = VlFeat(args.vlfeat)
    for name, image in pictures().items():
        grey = luminance(image)
        expected = {"hog": vlfeat.hog(grey, False), "hogb": vlfeat.hog(grey, True), "dsift": vlfeat.dsift(grey)}
        if name == "crop" and args.write:
            save_file({"image": image, **expected}, args.write)
        if args.oneiro:
            for feature, values in expected.items():
                report(f"{name}: {feature} and VLFeat", ours(args.oneiro, feature, image), values)
            found = ours(args.oneiro, "dsift", image)
            report(f"{name}: dsift and VLFeat, Gaussian windows", found, vlfeat.dsift(grey, flat=False))
            if name == "large crop":
                opencv(grey, found)


if __name__ == "__main__":
    main()
