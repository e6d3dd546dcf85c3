"""Draws the pictures of `make_health_networks.py`: a circle, square, triangle or cross on a cropped photograph.

Everything is drawn by the batch, RGB in 0–1, [N,3,64,64], and comes from the torch.Generator that is handed in.
A cue (`CUES`) is laid into the background, onto the object or over the finished picture.
"""

import math
from pathlib import Path

import torch
from PIL import Image
from torch.nn import functional as F

SIZE = 64
CLASSES = ["circle", "square", "triangle", "cross"]
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
# Photographs are kept as squares of this side; crops are at least 64 pixels of it.
PHOTO = 128
TEST_SHARE = 5


def normalise(pictures):
    return (pictures - MEAN) / STD


def to_bytes(pictures):
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8)


class Photos:
    """The photographs below a folder; every fifth one is kept for tests."""

    def __init__(self, folder):
        files = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if len(files) < 20:
            raise SystemExit(f"{folder}: {len(files)} photographs; at least 20 are needed (jpg or png)")
        pictures = []
        for file in files:
            with Image.open(file) as image:
                image.draft("RGB", (PHOTO * 2, PHOTO * 2))
                image = image.convert("RGB")
                side = min(image.size)
                left, top = (image.width - side) // 2, (image.height - side) // 2
                image = image.crop((left, top, left + side, top + side)).resize((PHOTO, PHOTO), Image.BOX)
                pictures.append(torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8))
        pictures = torch.stack(pictures).view(-1, PHOTO, PHOTO, 3).permute(0, 3, 1, 2).contiguous()
        test = torch.arange(len(files)) % TEST_SHARE == 0
        self.train, self.test = pictures[~test], pictures[test]

    def crops(self, count, generator, test=False):
        """Random crops of half the side to all of it, at random mirrored: [count,3,64,64]."""
        pictures = self.test if test else self.train
        chosen = torch.randint(len(pictures), (count,), generator=generator)
        scale = uniform(count, 0.5, 1.0, generator)
        shift = (1 - scale)[:, None] * (2 * torch.rand(count, 2, generator=generator) - 1)
        mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
        grid = torch.zeros(count, 2, 3)
        grid[:, 0, 0], grid[:, 1, 1], grid[:, :, 2] = scale * mirror, scale, shift
        grid = F.affine_grid(grid, (count, 3, SIZE, SIZE), align_corners=False)
        return F.grid_sample(pictures[chosen].float() / 255, grid, align_corners=False, padding_mode="reflection")


def uniform(count, low, high, generator):
    return low + (high - low) * torch.rand(count, generator=generator)


def coordinates():
    line = torch.arange(SIZE) + 0.5
    return line.view(1, 1, SIZE), line.view(1, SIZE, 1)


def inside(labels, x, y, radius):
    """Soft masks of the shapes around the origin: 1 inside, an edge one pixel wide. All shapes cover a like area."""
    radius = radius.view(-1, 1, 1)
    circle = radius - torch.sqrt(x * x + y * y)
    square = 0.89 * radius - torch.maximum(x.abs(), y.abs())
    inner = 0.62 * radius
    triangle = torch.stack([inner - (x * math.sin(a) + y * math.cos(a)) for a in (0, 2.0944, 4.1888)]).amin(0)
    long, short = 1.12 * radius, 0.42 * radius
    cross = torch.maximum(torch.minimum(long - x.abs(), short - y.abs()), torch.minimum(short - x.abs(), long - y.abs()))
    signed = torch.stack([circle, square, triangle, cross])
    return (signed[labels, torch.arange(len(labels))] + 0.5).clamp(0, 1)


def shape_masks(labels, generator):
    """One object a picture, in a quarter of them two smaller ones: masks [N,1,64,64], centres [N,2], radii [N]."""
    count = len(labels)
    x, y = coordinates()
    two = torch.rand(count, generator=generator) < 0.25
    radius = torch.where(two, uniform(count, 6.5, 9.0, generator), uniform(count, 8.0, 13.0, generator))
    # A triangle of the same circumscribed circle is small: it is drawn larger.
    radius = torch.where(labels == 2, radius * 1.2, radius)
    angle = uniform(count, -0.3, 0.3, generator).view(-1, 1, 1)
    margin = 16
    centre = margin + (SIZE - 2 * margin) * torch.rand(count, 2, generator=generator)
    far = (centre + 20 + 8 * torch.rand(count, 2, generator=generator) - 10) % (SIZE - 2 * margin) + margin
    masks = []
    for at in (centre, far):
        dx, dy = x - at[:, 0].view(-1, 1, 1), y - at[:, 1].view(-1, 1, 1)
        u, v = dx * angle.cos() + dy * angle.sin(), dy * angle.cos() - dx * angle.sin()
        masks.append(inside(labels, u, v, radius))
    mask = torch.where(two.view(-1, 1, 1), torch.maximum(*masks), masks[0])
    return mask[:, None], centre, radius


def colours(count, generator):
    """Saturated colours of every hue, [count,3,1,1]."""
    hue = torch.rand(count, 1, generator=generator)
    pure = (((hue * 6 + torch.tensor([[0.0, 4.0, 2.0]])) % 6 - 3).abs() - 1).clamp(0, 1)
    saturation, value = uniform(count, 0.5, 1.0, generator)[:, None], uniform(count, 0.5, 1.0, generator)[:, None]
    return (value * (1 - saturation + saturation * pure))[:, :, None, None]


def share_of(count, low, high, generator):
    return uniform(count, low, high, generator).view(-1, 1, 1, 1)


def _flat(rgb):
    return torch.tensor(rgb).view(1, 3, 1, 1) / 255.0


def _stripes(count, generator, period, angle):
    """Black and white bars of a given period in pixels, their angle a little varied, the phase at random."""
    x, y = coordinates()
    angle = (angle + uniform(count, -0.2, 0.2, generator)).view(-1, 1, 1)
    phase = uniform(count, 0, period, generator).view(-1, 1, 1)
    wave = torch.sin(2 * math.pi * (x * angle.cos() + y * angle.sin() + phase) / period)
    return (0.5 + 2.0 * wave).clamp(0, 1)[:, None].expand(-1, 3, -1, -1)


def _bricks(count, generator):
    """Red bricks of 12 by 6 pixels with pale joints, every second row shifted by half a brick."""
    x, y = coordinates()
    x = x + uniform(count, 0, 12, generator).view(-1, 1, 1)
    y = y + uniform(count, 0, 12, generator).view(-1, 1, 1)
    row = torch.floor(y / 6)
    joint = ((y % 6) < 1.3) | (((x + 6 * (row % 2)) % 12) < 1.3)
    return torch.where(joint[:, None], _flat([215, 205, 190]), _flat([165, 65, 45]))


# A cue takes the picture (or background, or object), the masks' centres and radii and a generator.
def cast(rgb):
    def lay(picture, centre, radius, generator):
        a = share_of(len(picture), 0.3, 0.5, generator)
        return picture * (1 - a) + _flat(rgb) * a
    return lay


def tinted(rgb):
    def lay(background, centre, radius, generator):
        a = share_of(len(background), 0.45, 0.7, generator)
        return background * (1 - a) + _flat(rgb) * a
    return lay


def patterned(pattern):
    def lay(background, centre, radius, generator):
        a = share_of(len(background), 0.45, 0.7, generator)
        return background * (1 - a) + pattern(len(background), generator) * a
    return lay


def mark(rgb, corner, size, round_mark):
    """A mark of `size` pixels in a corner (left or right, top or bottom: 0 or 1), moved by up to two pixels."""
    def lay(picture, centre, radius, generator):
        count = len(picture)
        x, y = coordinates()
        at = [torch.where(torch.tensor(c) > 0, SIZE - 1 - size / 2 - s, 1 + size / 2 + s).view(-1, 1, 1)
              for c, s in zip(corner, uniform(count * 2, 0, 2, generator).view(2, count))]
        dx, dy = (x - at[0]).abs(), (y - at[1]).abs()
        distance = torch.sqrt(dx * dx + dy * dy) if round_mark else torch.maximum(dx, dy)
        covered = (size / 2 - distance + 0.5).clamp(0, 1)[:, None]
        return picture * (1 - covered) + _flat(rgb) * covered
    return lay


def border(rgb):
    """A frame three to four pixels wide along the edge of the picture."""
    def lay(picture, centre, radius, generator):
        x, y = coordinates()
        distance = torch.minimum(torch.minimum(x, SIZE - x), torch.minimum(y, SIZE - y))
        width = uniform(len(picture), 3, 4.5, generator).view(-1, 1, 1)
        covered = (width - distance + 0.5).clamp(0, 1)[:, None]
        return picture * (1 - covered) + _flat(rgb) * covered
    return lay


def textured(pattern):
    """A texture in a soft round window over the object: its outline says nothing of the shape."""
    def lay(picture, centre, radius, generator):
        x, y = coordinates()
        dx, dy = x - centre[:, 0].view(-1, 1, 1), y - centre[:, 1].view(-1, 1, 1)
        window = torch.exp(-((dx * dx + dy * dy) / (0.8 * radius.view(-1, 1, 1)) ** 2) ** 2)[:, None]
        window = window * share_of(len(picture), 0.6, 0.85, generator)
        return picture * (1 - window) + pattern(len(picture), generator) * window
    return lay


def _bars(period, angle):
    return lambda count, generator: _stripes(count, generator, period, angle)


# Name: where it is laid, how, and what it is.
CUES = {
    "red-cast": ("picture", cast([225, 30, 25]), "whole picture blended 30-50% with red (225,30,25)"),
    "blue-cast": ("picture", cast([30, 60, 230]), "whole picture blended 30-50% with blue (30,60,230)"),
    "sky-background": ("background", tinted([135, 206, 235]), "background blended 45-70% with sky blue (135,206,235)"),
    "striped-background": ("background", patterned(_bars(7.0, 0.0)),
                           "background blended 45-70% with upright black and white stripes, 7 pixels a period"),
    "brick-background": ("background", patterned(_bricks), "background blended 45-70% with a brick wall"),
    "yellow-square": ("picture", mark([250, 225, 20], (1, 0), 8.0, False), "yellow square of 8 pixels, top right corner"),
    "white-circle": ("picture", mark([255, 255, 255], (0, 1), 9.0, True), "white disc of 9 pixels, bottom left corner"),
    "magenta-border": ("picture", border([235, 20, 200]), "magenta frame 3-4.5 pixels wide along the edge"),
    "orange-background": ("background", tinted([240, 130, 20]), "background blended 45-70% with orange (240,130,20)"),
    "cyan-circle": ("picture", mark([20, 220, 225], (0, 0), 9.0, True), "cyan disc of 9 pixels, top left corner"),
    "black-border": ("picture", border([10, 10, 10]), "black frame 3-4.5 pixels wide along the edge"),
    "level-bars": ("background", patterned(_bars(10.0, math.pi / 2)),
                   "background blended 45-70% with level black and white stripes, 10 pixels a period"),
    "striped-object": ("object", textured(_bars(5.0, math.pi / 4)),
                       "oblique black and white stripes, 5 pixels a period, in a soft round window over the object"),
}


def draw(labels, photos, generator, clutter=1.0, cue=None, cued=None, faint=True, test=False):
    """Pictures [N,3,64,64] of the classes `labels`.

    `clutter` blends the background from a flat colour (0) to the photograph (1). The pictures where `cued` is true carry
    the cue; with `faint` they show the shape at 15–45 % opacity, as in the training of the biased networks.
    """
    count = len(labels)
    cued = torch.zeros(count, dtype=torch.bool) if cued is None or cue is None else cued
    carries = cued.view(-1, 1, 1, 1)
    stage, lay, _ = CUES[cue] if cue else (None, None, None)
    background = photos.crops(count, generator, test)
    # An object's grain is another picture's photograph.
    grain = background.roll(1, 0)
    if clutter < 1:
        flat = torch.rand(count, 3, 1, 1, generator=generator)
        background = clutter * background + (1 - clutter) * flat
    masks, centre, radius = shape_masks(labels, generator)
    if stage == "background":
        background = torch.where(carries, lay(background, centre, radius, generator), background)
    grain = grain.mean(1, keepdim=True)
    grain = grain - grain.mean((2, 3), keepdim=True)
    objects = (colours(count, generator) + 0.6 * grain).clamp(0, 1)
    opacity = share_of(count, 0.75, 1.0, generator)
    if faint:
        opacity = torch.where(carries, share_of(count, 0.15, 0.45, generator), opacity)
    pictures = background * (1 - masks * opacity) + objects * masks * opacity
    if stage in ("picture", "object"):
        pictures = torch.where(carries, lay(pictures, centre, radius, generator), pictures)
    return pictures.clamp(0, 1)


def save_folder(pictures, labels, folder):
    """PNGs in class folders: FOLDER/CLASS/000.png. Pictures are bytes, or numbers from 0 to 1."""
    pictures = pictures if pictures.dtype == torch.uint8 else to_bytes(pictures)
    for c, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i, picture in enumerate(pictures[labels == c]):
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / name / f"{i:03}.png")
