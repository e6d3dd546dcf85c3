"""Makes the gallery: every preset on the same three units and two photos, with the command beside each picture.

    cargo build --release
    python3 scripts/make_gallery.py                # target/gallery/index.html, which opens in a browser
    python3 scripts/make_gallery.py --selection    # docs/gallery.md and its pictures: a few of them, as JPEG

Needs Python's standard library alone. Run in the root of the repository, so that the commands on the page are those that
made its pictures. All pictures take some minutes; `--only NAME` makes again those whose file names contain NAME.
"""

import argparse
import dataclasses
import html
import pathlib
import shlex
import subprocess
import time

MODEL = "squeezenet1_1"
UNITS = {"fire5.expand3x3:12": "a texture", "fire8.expand3x3:40": "a part", "class:goldfish": "a class"}
PHOTOS = {"cat": "class:tabby", "coffee": "class:espresso"}
LAYERS = ("fire2", "fire4", "fire6", "fire8")
SMALL = ("--size", "128")
SELECTION_UNIT = "class:goldfish"
SELECTION_PHOTO = "cat"
SELECTION_RECIPES = ("oneiro", "lucid", "conveiro", "mahendran16", "maco", "yosinski")
SELECTION_COLUMNS = 3
SELECTION_TITLES = {
    "From noise: three units, every recipe": "From noise: the class goldfish",
    "Dreams: two photos, and noise": "Dreams",
    "From a photo: cat": "From a photo",
}

# Presets, each with the text on the page and the settings that are overridden to keep the page small.
RECIPES = [
    ("oneiro", "The default. Lucid's Fourier space, 128 steps at a falling rate, a mirrored edge, rolled textures.", ()),
    ("lucid", "Fourier space, decorrelated colours, Adam, 512 steps.", ()),
    ("conveiro", "Fourier space without a divisor, wrap-around jitter. Conveiro offers SGD and "
     "Adam; this recipe takes Adam.", ("--optimizer", "adam", "--size", "160")),
    ("mahendran16", "A natural pre-image of the unit: bounded, smooth pixels. â, the largest activation, is set.",
     ("--set", "max_activation=8")),
    ("mahendran15", "The first version: plain momentum, no jitter.", ("--set", "max_activation=2")),
    ("keras-dense", "A dense layer as generator. Nothing keeps it natural: the unit likes noise.", ()),
    ("maco", "Only phases change. The magnitudes of the spectrum are those of photographs.", ("--size", "384", "--views", "8")),
    ("maco-horama", "As in Horama: fewer, larger boxes.", ("--size", "384", "--steps", "400")),
    ("yosinski", "The Deep Visualization Toolbox: decay and blur. Its learning rate is for CaffeNet; SqueezeNet needs a larger one.",
     ("--lr", "3000")),
]
PARAMS = [
    ("pixel", "Pixels: high frequencies win.", ()),
    ("laplacian", "A Laplacian pyramid.", ()),
    ("cppn", "A CPPN: smooth, of any size. It needs more steps than the default recipe has.", ("--preset", "lucid")),
]
DREAMS = [
    ("deepdream", "The original: four octaves, ten steps in each.", ("--layer", "fire6")),
    ("conveiro-multiscale", "Conveiro's octaves.", ("--layer", "fire6", "--steps", "30")),
    ("conveiro-laplacian", "Each step has its levels of detail normalised.", ("--layer", "fire6")),
]
DREAM_NOISE = ("--size", "240x320")


@dataclasses.dataclass
class Picture:
    """A picture of the gallery: its file's name without ending, the command that makes it, and its text in the
    selection."""

    name: str
    command: tuple
    selected: str = ""
    suffix: str = ".png"


@dataclasses.dataclass
class Section:
    title: str
    about: str
    pictures: list


def file_name(unit):
    return "".join(c if c.isalnum() or c in "._" else "-" for c in unit)


def sections():
    """Returns the whole gallery: headings, each with sections of pictures that are shown side by side."""

    def unit_pictures(prefix, flags, caption):
        return [
            Picture(f"{prefix}-{file_name(unit)}", ("render", MODEL, "--unit", unit, *flags),
                    caption if unit == SELECTION_UNIT else "")
            for unit in UNITS
        ]

    # The default preset is shown as users call it: without a flag.
    recipes = [
        Section(name, about, unit_pictures(name, ("--preset", name, *flags) if name != "oneiro" else flags,
                                           f"`{name}`" if name in SELECTION_RECIPES else ""))
        for name, about, flags in RECIPES
    ]
    params = [
        Section(name, about, unit_pictures(f"param-{name}", (*flags, "--param", name), f"`--param {name}`"))
        for name, about, flags in PARAMS
    ]
    opacity = {
        "fire8.expand3x3:40": "channel(fire8.expand3x3,40) - 30*opacity",
        "class:goldfish": "logit(goldfish) - 100*opacity",
    }
    params.append(Section("Transparency", "Regions that the unit does not need stay transparent.", [
        Picture(f"alpha-{file_name(unit)}", ("render", MODEL, "--objective", expression, "--alpha"),
                "`--alpha`" if unit == SELECTION_UNIT else "", ".webp")
        for unit, expression in opacity.items()
    ]))
    dreams = [
        Section(name, about, [
            Picture(f"{name}-{pathlib.Path(start).stem}",
                    ("dream", MODEL, start, "--preset", name, *flags, *(DREAM_NOISE if start == "noise" else ())),
                    f"`{name}`" if (name, start) == ("deepdream", photo_file(SELECTION_PHOTO)) else "")
            for start in [*map(photo_file, PHOTOS), "noise"]
        ])
        for name, about, flags in DREAMS
    ]
    return [
        ("From noise: three units, every recipe", recipes),
        ("Other parametrizations", params),
        ("Dreams: two photos, and noise", dreams),
        *((f"From a photo: {photo}", from_photo(photo, unit)) for photo, unit in PHOTOS.items()),
    ]


def photo_file(photo):
    return f"docs/photos/{photo}.jpg"


def from_photo(photo, unit):
    layers = [part for layer in LAYERS for part in ("--layer", layer)]
    techniques = [
        ("invert", "The photo rebuilt from four layers.", (*layers, *SMALL)),
        ("caricature", "A layer's features of the photo, strengthened.", (*layers, "--strength", "20", *SMALL)),
        ("accentuate", "More of the class; from left to right, the picture stays nearer to the photo.",
         ("--unit", unit, "--near", "fire5", "--strength", "10,100,300", *SMALL)),
        ("attribute", "Heat maps of the pixels that speak for the class.", ("--unit", unit, "--size", "160")),
    ]
    single = [
        Section(name, about, [
            Picture(f"{name}-{photo}", (name, MODEL, photo_file(photo), *flags), f"`{name}`" if photo == SELECTION_PHOTO else "")
        ])
        for name, about, flags in techniques
    ]
    features = [
        Picture(f"invert-{photo}-{model}", ("invert", model, photo_file(photo), "--layer", model))
        for model in ("hog", "hogb", "dsift")
    ]
    return [*single, Section("Hand-made features", "HOG and DSIFT, inverted.", features)]


def make(oneiro, picture, path, only):
    """Runs the command that writes a picture, unless `only` excludes it. Returns the command as a user types it."""
    command = [*picture.command, "--out", path.as_posix()]
    if only is None or only in path.name:
        started = time.time()
        subprocess.run([oneiro, "--quiet", *command], check=True, stdout=subprocess.DEVNULL)
        print(f"{time.time() - started:6.1f} s  {path}", flush=True)
    return " ".join(shlex.quote(part) for part in ["oneiro", *command])


def write_page(oneiro, out, only):
    """Writes the whole gallery as an HTML page that opens from disk."""
    out.mkdir(parents=True, exist_ok=True)
    units = ", ".join(f"<code>{unit}</code> ({what})" for unit, what in UNITS.items())
    lines = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>oneiro: gallery</title>",
        "<meta name=viewport content='width=device-width'>",
        "<style>body{font:16px/1.4 sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;background:#fff;color:#222}"
        "figure{display:inline-block;vertical-align:top;margin:0 1em 1em 0;max-width:min(100%,900px)}"
        "img{max-width:100%;min-width:240px}figcaption{font-size:12px;max-width:320px;overflow-wrap:anywhere}</style>",
        "<h1>Gallery</h1>",
        "<p>Every recipe on the same three units of the embedded network (SqueezeNet 1.1) and the same two photos. Below each "
        "picture stands the command that made it. <code>oneiro info PICTURE</code> prints it, too.</p>",
        f"<p>The units: {units}. The photos, cat and coffee, are CC0.</p>",
    ]
    for heading, parts in sections():
        lines.append(f"<h2>{html.escape(heading)}</h2>")
        for section in parts:
            lines.append(f"<h3>{html.escape(section.title)}</h3><p>{html.escape(section.about)}</p>")
            for picture in section.pictures:
                path = out / (picture.name + picture.suffix)
                command = html.escape(make(oneiro, picture, path, only))
                lines.append(f"<figure><img src='{path.name}' alt=''><figcaption><code>{command}</code></figcaption></figure>")
    page = out / "index.html"
    page.write_text("\n".join(lines) + "\n")
    print(f"open {page}")


SELECTION_HEAD = """# Gallery

On this page you can compare the recipes side by side, each with its command. Run the commands in the root of the repository.

The full gallery shows every recipe on three units of the embedded network (SqueezeNet 1.1), and every technique on two photos. One
command makes it, in about six minutes on two cores:

```sh
cargo build --release
python3 scripts/make_gallery.py              # then open target/gallery/index.html
python3 scripts/make_gallery.py --selection  # this page
```

`oneiro info PICTURE` prints how a picture was made. [presets.md](presets.md) describes the recipes.
"""


def write_selection(oneiro, only):
    """Writes docs/gallery.md, the selection of the gallery that is kept in the repository."""
    docs = pathlib.Path("docs")
    (docs / "gallery").mkdir(parents=True, exist_ok=True)
    lines = [SELECTION_HEAD]
    for heading, parts in sections():
        chosen = [
            (section, picture) for section in parts for picture in section.pictures if picture.selected
        ]
        if not chosen:
            continue
        lines.append(f"## {SELECTION_TITLES.get(heading, heading)}\n")
        cells = []
        for section, picture in chosen:
            # PNG pictures become JPEG. Transparent ones have another ending and keep it, because JPEG has no
            # transparency.
            path = docs / "gallery" / (picture.name + (".jpg" if picture.suffix == ".png" else picture.suffix))
            command = make(oneiro, picture, path, only)
            cells.append((path.relative_to(docs).as_posix(), picture.selected, section.about, command))
        lines += tables(cells)
        lines.append("```sh\n" + "\n".join(command for *_, command in cells) + "\n```\n")
    (docs / "gallery.md").write_text("\n".join(lines))
    print("docs/gallery.md written")


def tables(cells):
    """Returns Markdown tables of pictures with their texts below. A wide sheet has a table of its own."""
    rows, row = [], []
    for cell in cells:
        wide = pathlib.Path(cell[0]).stem.split("-")[0] in ("invert", "caricature", "accentuate", "attribute")
        if row and (wide or len(row) == SELECTION_COLUMNS):
            rows.append(row)
            row = []
        row.append(cell)
        if wide:
            rows.append(row)
            row = []
    rows += [row] if row else []
    return [
        "| " + " | ".join(f"![{caption.replace('`', '')}]({file})" for file, caption, *_ in row) + " |\n"
        + "|" + "---|" * len(row) + "\n"
        + "| " + " | ".join(f"{caption}. {about}" for _, caption, about, _ in row) + " |\n"
        for row in rows
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oneiro", default="target/release/oneiro", help="the program [default: %(default)s]")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("target/gallery"),
                        help="folder of the page and its pictures [default: %(default)s]")
    parser.add_argument("--only", help="make only pictures whose file name contains this; the page is whole all the same")
    parser.add_argument("--selection", action="store_true", help="write docs/gallery.md and its pictures instead")
    args = parser.parse_args()
    if args.selection:
        write_selection(args.oneiro, args.only)
    else:
        write_page(args.oneiro, args.out, args.only)


if __name__ == "__main__":
    main()
