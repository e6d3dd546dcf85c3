#!/usr/bin/env python3
"""Make the fonts for sheets and plots: DejaVu Sans Condensed, reduced to the outlines of the characters below.

    python subset_font.py FOLDER_OF_DEJAVU_TTF

Needs fontTools. Writes DejaVuSansCondensed.ttf and DejaVuSansCondensed-Bold.ttf into the folder of this script.
"""

import sys
from pathlib import Path

from fontTools import subset

FACES = ["DejaVuSansCondensed.ttf", "DejaVuSansCondensed-Bold.ttf"]

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


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name in FACES:
        options = subset.Options()
        # Letters are drawn from their outlines at whole pixels without kerning, so other tables are not needed.
        options.hinting = False
        options.layout_features = []
        options.drop_tables += ["FFTM", "GDEF", "GPOS", "GSUB", "MATH"]
        options.name_IDs = [0, 1, 2, 4, 5, 13, 14]
        font = subset.load_font(str(Path(sys.argv[1]) / name), options)
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=CHARACTERS)
        subsetter.subset(font)
        out = Path(__file__).parent / name
        subset.save_font(font, str(out), options)
        print(f"{out}: {len(CHARACTERS)} characters, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
