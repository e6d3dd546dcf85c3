#!/usr/bin/env python3
"""Rasterise the letters of sheets and plots: three faces, antialiased, in one small file.

    python bake_font.py FOLDER_OF_DEJAVU_TTF OUT

Needs Pillow. The layout of the file (integers little-endian) is read by `src/font.rs`:

    magic   "ONFT1"
    faces   u8
    face    ascent u8, descent u8, glyphs u16
    glyph   code point u16, advance u8, left i8, top i8 (rows from the ascent line), width u8, height u8,
            width*height bytes of coverage, 0 (paper) to 255 (ink)

Glyphs are in order of their code points.
"""

import struct
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

# Caption, strong caption, title: face and size in pixels.
FACES = [
    ("DejaVuSansCondensed.ttf", 13),
    ("DejaVuSansCondensed-Bold.ttf", 13),
    ("DejaVuSansCondensed-Bold.ttf", 20),
]

CHARACTERS = sorted(
    set(range(0x20, 0x7F))
    | set(range(0xA0, 0x180))  # Latin-1, Latin Extended-A
    | (set(range(0x391, 0x3CA)) - {0x3A2})  # Greek
    | {0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2026}
    | {0x2032, 0x2033, 0x2070, 0x207B, 0x2080, 0x2081, 0x2082, 0x2083}
    | set(range(0x2074, 0x207A))  # superscript 4 to 9; Latin-1 has 1 to 3
    | {0x2190, 0x2191, 0x2192, 0x2193, 0x2194, 0x2202, 0x2207, 0x2211, 0x2212, 0x221A, 0x221E}
    | {0x2016, 0x2208, 0x2248, 0x2260, 0x2264, 0x2265, 0x22A4, 0x25A1, 0x2713, 0x2717}
)


def bake(path, size):
    font = ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
    ascent, descent = font.getmetrics()
    glyphs = []
    for code in CHARACTERS:
        text = chr(code)
        advance = round(font.getlength(text))
        pad = size
        image = Image.new("L", (advance + 2 * pad, ascent + descent + 2 * pad), 0)
        ImageDraw.Draw(image).text((pad, pad), text, font=font, fill=255)
        box = image.getbbox()
        if box is None:
            glyphs.append(struct.pack("<HBbbBB", code, advance, 0, 0, 0, 0))
            continue
        left, top, right, bottom = box
        head = struct.pack("<HBbbBB", code, advance, left - pad, top - pad, right - left, bottom - top)
        glyphs.append(head + image.crop(box).tobytes())
    return struct.pack("<BBH", ascent, descent, len(glyphs)) + b"".join(glyphs)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    data = b"ONFT1" + bytes([len(FACES)]) + b"".join(bake(folder / name, size) for name, size in FACES)
    out.write_bytes(data)
    print(f"{out}: {len(CHARACTERS)} characters in {len(FACES)} faces, {len(data)} bytes")


if __name__ == "__main__":
    main()
