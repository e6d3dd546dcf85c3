"""Makes docs/gallery.md and its pictures: every recipe on the same three units and two photos, the command beside each.

    cargo build --release
    python3 scripts/make_gallery.py [--oneiro target/release/oneiro] [--only NAME]

Needs Python's standard library alone. Run in the root of the repository, so that the commands on the page are those that
made its pictures. Takes some minutes.
"""

import argparse
import pathlib
import shlex
import subprocess
import time

MODEL = "squeezenet1_1"
UNITS = {"fire5.expand3x3:12": "a texture", "fire8.expand3x3:40": "a part", "class:goldfish": "a class"}
PHOTOS = {"cat": "class:tabby", "coffee": "class:espresso"}
OUT = pathlib.Path("docs/gallery")
SMALL = ["--size", "160"]

# Recipe, what the page says of it, and what is overridden (small pictures keep the page small).
RECIPES = [
    ("lucid", "Lucid: Fourier space, decorrelated colours, Adam, transforms.", []),
    ("conveiro", "Conveiro's CDFS: no divisor, wrap-around jitter. Its gradient descent at .01 is meant for other networks; "
     "Adam, which it names too, fits any.", ["--optimizer", "adam"]),
    ("mahendran16", "A natural pre-image of the unit: bounded, smooth pixels. â, the largest activation, is set.",
     ["--set", "max_activation=8"]),
    ("mahendran15", "The first version: plain momentum, no jitter.", ["--set", "max_activation=2"]),
    ("keras-dense", "A dense layer as generator, nothing that keeps it natural: noise that the unit likes.", []),
    ("maco", "MACO: only phases change, magnitudes stay those of photographs.",
     ["--size", "384", "--views", "8"]),
    ("maco-horama", "MACO as in Horama: fewer, larger boxes.",
     ["--size", "384", "--steps", "400"]),
    ("yosinski", "The Deep Visualization Toolbox: decay and blur. Its rate is for CaffeNet; this network needs more.",
     ["--lr", "3000"]),
]
PARAMS = [
    ("pixel", "Pixels: high frequencies win."),
    ("laplacian", "A Laplacian pyramid."),
    ("cppn", "A CPPN: smooth, of any size."),
]
DREAMS = [
    ("deepdream", ["--layer", "fire6"]),
    ("conveiro-multiscale", ["--layer", "fire6", "--steps", "30"]),
    ("conveiro-laplacian", ["--layer", "fire6"]),
]


class Gallery:
    def __init__(self, oneiro, only):
        self.oneiro, self.only, self.lines, self.took = oneiro, only, [], 0.0

    def text(self, text):
        self.lines.append(text)

    def make(self, file, command):
        """Runs a command that writes a picture, unless it is there already; returns a cell of the table."""
        path = OUT / file
        command = [*command, "--out", path.as_posix()]
        if self.only is None or self.only in file:
            started = time.time()
            subprocess.run([self.oneiro, "--quiet", *command], check=True, stdout=subprocess.DEVNULL)
            self.took += time.time() - started
            print(f"{time.time() - started:6.1f} s  {path}", flush=True)
        shown = " ".join(shlex.quote(part) for part in ["oneiro", *command])
        return f"<td valign=top><img src=\"gallery/{file}\" width=220><br><sub><code>{shown}</code></sub></td>"

    def row(self, cells):
        self.text("<table><tr>" + "".join(cells) + "</tr></table>\n")


def name_of(unit):
    return "".join(c if c.isalnum() or c in "._" else "-" for c in unit)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oneiro", default="target/release/oneiro")
    parser.add_argument("--only", help="make only pictures whose file name contains this; the page is whole all the same")
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    page = Gallery(args.oneiro, args.only)
    page.text("# Gallery\n")
    page.text(
        "Every recipe on the same three units of the embedded network (SqueezeNet 1.1) and the same two photos, with the "
        "command that made each picture. `python3 scripts/make_gallery.py` makes this page and all pictures anew; each "
        "picture also says itself how it was made (`oneiro info PICTURE`). What the recipes are: [presets.md](presets.md).\n"
    )
    page.text(
        "The units: " + ", ".join(f"`{unit}` ({what})" for unit, what in UNITS.items()) + ". The photos, cat and coffee, are "
        "CC0 (`NOTICE`).\n"
    )
    page.text("## From noise: three units, every recipe\n")
    for preset, about, extra in RECIPES:
        page.text(f"### {preset}\n\n{about}\n")
        page.row(
            page.make(f"{preset}-{name_of(unit)}.png", ["render", MODEL, "--unit", unit, "--preset", preset, *extra])
            for unit in UNITS
        )
    page.text("## Other parametrizations of the recipe lucid\n")
    for param, about, *extra in PARAMS:
        page.text(f"### {param}\n\n{about}\n")
        page.row(
            page.make(f"param-{param}-{name_of(unit)}.png",
                      ["render", MODEL, "--unit", unit, "--param", param, *(extra[0] if extra else [])])
            for unit in UNITS
        )
    page.text("### Transparency\n\nWhat the unit does not need stays transparent.\n")
    page.row(
        page.make(f"alpha-{name_of(unit)}.png",
                  ["render", MODEL, "--objective", expression, "--alpha"])
        for unit, expression in [
            ("fire8.expand3x3:40", "channel(fire8.expand3x3,40) - 30*opacity"),
            ("class:goldfish", "logit(goldfish) - 100*opacity"),
        ]
    )
    page.text("## Dreams: two photos, and noise\n")
    for preset, extra in DREAMS:
        page.text(f"### {preset}\n")
        starts = [f"docs/photos/{photo}.jpg" for photo in PHOTOS] + ["noise"]
        page.row(
            page.make(f"{preset}-{pathlib.Path(start).stem}.png",
                      ["dream", MODEL, start, "--preset", preset, *extra,
                       *(["--size", "240x320"] if start == "noise" else [])])
            for start in starts
        )
    page.text("## From a photo\n")
    for photo, unit in PHOTOS.items():
        file = f"docs/photos/{photo}.jpg"
        page.text(f"### {photo}\n")
        layers = [part for layer in ("fire2", "fire4", "fire6", "fire8") for part in ("--layer", layer)]
        page.text("Inversion: what a layer still knows.\n")
        page.row([page.make(f"invert-{photo}.png", ["invert", MODEL, file, *layers, *SMALL])])
        page.text("Caricature: more of what a layer sees.\n")
        page.row([page.make(f"caricature-{photo}.png", ["caricature", MODEL, file, *layers, "--strength", "20", *SMALL])])
        page.text("Accentuation: more of the class, nearer to the photo from left to right.\n")
        page.row([page.make(f"accentuate-{photo}.png",
                            ["accentuate", MODEL, file, "--unit", unit, "--near", "fire5", "--strength", "10,100,300", *SMALL])])
        page.text("Attribution: what in the photo speaks for the class.\n")
        page.row([page.make(f"attribute-{photo}.png", ["attribute", MODEL, file, "--unit", unit])])
        page.text("HOG and DSIFT, inverted.\n")
        page.row(
            page.make(f"invert-{photo}-{model}.png", ["invert", model, file, "--layer", model])
            for model in ("hog", "hogb", "dsift")
        )
    pathlib.Path("docs/gallery.md").write_text("\n".join(page.lines))
    print(f"docs/gallery.md written; {page.took:.0f} s of rendering")


if __name__ == "__main__":
    main()
