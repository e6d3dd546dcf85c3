#!/usr/bin/env python3
"""Make the small pictures that the tests of reading use: python make.py, in this folder. Needs Pillow and numpy.

All are 12 wide and 8 high: left half red, right half blue, or the like; see the tests for what is in each.
"""

import numpy as np
from PIL import Image

H, W = 8, 12
rgb = np.zeros((H, W, 3), np.uint8)
rgb[:, : W // 2] = (255, 0, 0)
rgb[:, W // 2 :] = (0, 0, 255)
picture = Image.fromarray(rgb)

picture.save("rgb.png")
picture.save("rgb.webp", lossless=True)
picture.save("rgb.bmp")
picture.save("rgb.tif", compression="tiff_lzw")
picture.save("first.gif", save_all=True, append_images=[Image.new("RGB", (W, H), (0, 255, 0))], duration=50)
picture.save("upright.jpg", quality=95, subsampling=0)

# The pixels are stored unrotated, with EXIF orientation 6 (a quarter turn clockwise): the red left half becomes the
# top.
exif = Image.Exif()
exif[0x0112] = 6
picture.save("turned.jpg", quality=95, subsampling=0, exif=exif)

grey = np.linspace(0, 65535, H * W).round().astype(np.uint16).reshape(H, W)
Image.fromarray(grey).save("grey16.png")
Image.fromarray(grey).save("grey16.tif")
Image.fromarray((grey >> 8).astype(np.uint8)).save("grey8.jpg", quality=100)

alpha = np.full((H, W, 1), 255, np.uint8)
alpha[: H // 2] = 51  # a fifth
Image.fromarray(np.concatenate([rgb, alpha], 2)).save("alpha.png")
picture.quantize(2).save("palette.png")
