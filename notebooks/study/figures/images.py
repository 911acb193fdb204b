"""Figures that show images: montages of a catalogue, of predictions, of near-duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from fashionlib.evaluation.predict import Predictions
from fashionlib.data.images import ImageData
from fashionlib.tasks.labels import MISSING
from .style import BLACK, GREEN, GREY, LIGHT, TEXT_WIDTH, VERMILION, shorten, style
from fashionlib.tasks import MultiLabel

LINE = 7.4  # points between lines of small text
SMALL = 6
INCH = 72


@style()
def image_montage(images: np.ndarray, titles: Sequence[str] | None = None, columns: int = 8) -> Figure:
    """Images (N, H, W, 3) uint8 in a grid, with an optional title (of any number of lines) below each."""
    lines = max((str(title).count("\n") + 1 for title in titles), default=0) if titles is not None else 0
    cell = TEXT_WIDTH / columns
    width = cell * 0.94
    figure, place = image_grid(len(images), columns, cell, width * images.shape[1] / images.shape[2], lines)
    for k, pixels in enumerate(images):
        axes = draw_image(figure, place(k, width), pixels)
        if titles is not None:
            for line, text in enumerate(str(titles[k]).split("\n")):
                _text_below(axes, line, shorten(text, int(width * 19)))
    return figure


@style()
def catalogue_montage(data: ImageData, by: str, n: int = 8, seed: int = 0, classes: int = 8) -> Figure:
    """A row of n random examples for each of the most frequent classes of the column ``by``, named with the number of
    its images."""
    column = data.catalogue.table[by]
    if isinstance(data.catalogue.tasks.get(by), MultiLabel):
        column = column.str.split(";").explode()
    counts = column[column != ""].value_counts()
    shown, more = counts.head(classes), len(counts) - classes
    rng = np.random.default_rng(seed)
    label = 1.15
    width = min((TEXT_WIDTH - label) / n * 0.94, 0.62)
    height = width * data.size[1] / data.size[0]
    figure, place = image_grid(len(shown) * n, n, width / 0.94, height, 0, left=label, foot=0.2 if more > 0 else 0.0)
    for row, (name, count) in enumerate(shown.items()):
        rows = column.index[column == name].to_numpy()
        for k, pixels in enumerate(data.fetch(rng.permutation(rows)[:n]).numpy()):
            axes = draw_image(figure, place(row * n + k, width), pixels)
            if k == 0:
                text_beside(axes, 0.5, 4, shorten(name, 18), ha="right", size=8)
                text_beside(axes, 0.5, -6, f"{count:,} images", ha="right", color=GREY)
    if more > 0:
        foot_note(figure, f"and {more} more classes of {by}")
    return figure


@style()
def prediction_montage(
    data: ImageData, predictions: Predictions, n: int = 16, labels: Sequence[str] | None = None
) -> Figure:
    """The first n images of some predictions, the predicted classes beside each; a wrong one is vermilion, begins with
    a cross and is followed by the true class. Raises ``ValueError`` if no label is predicted."""
    found = predictions.labels()
    labels = list(found if labels is None else labels)
    if not labels:
        raise ValueError("prediction_montage: these predictions hold no label with one class per image")
    rows = predictions.rows[:n]
    texts = [sum((_verdict(data, predictions, found, label, k) for label in labels), []) for k in range(len(rows))]
    columns = min(4, len(rows))
    cell = TEXT_WIDTH / 4
    width = 0.6
    text_height = max(len(lines) for lines in texts) * LINE / INCH
    height = width * data.size[1] / data.size[0]
    below = max(0.0, text_height - height) * INCH / LINE
    figure, place = image_grid(len(rows), columns, cell, height, below, foot=0.3)
    for k, pixels in enumerate(data.fetch(rows).numpy()):
        axes = draw_image(figure, place(k, width), pixels)
        for line, (text, colour) in enumerate(texts[k]):
            text_beside(axes, 1, -(line + 0.8) * LINE, text, va="baseline", color=colour)
    key = f"{'Predicted' if len(labels) == 1 else 'From top to bottom:'} {', '.join(labels)}."
    foot_note(figure, f"{key}\n× wrong, with the true class below it; ? true class not known")
    return figure


@style()
def duplicate_pairs(data: ImageData, pairs: np.ndarray, n: int = 12, labels: Sequence[str] | None = None) -> Figure:
    """The first n pairs of row numbers (M, 2) as images side by side: the split of each, and those of the ``labels``
    (all single labels if not given) in which the two differ."""
    table = data.catalogue.table
    if labels is None:
        tasks = data.catalogue.tasks.values()
        labels = [c for t in tasks if t.evaluated and t.labels and not isinstance(t, MultiLabel) for c in t.columns]
    labels = list(dict.fromkeys(labels))
    pairs, columns, most = np.asarray(pairs)[:n], 4, 3
    differing = [
        [c for c in labels if table.at[i, c] != table.at[j, c] and not table.loc[[i, j], c].isna().all()]
        for i, j in pairs
    ]
    lines = 1 + max((min(len(names), most) for names in differing), default=0)
    cell = TEXT_WIDTH / columns
    width = cell * 0.45
    figure, place = image_grid(len(pairs), columns, cell, width * data.size[1] / data.size[0], lines + 0.6, foot=0.16)
    for k, (pair, names) in enumerate(zip(pairs, differing, strict=True)):
        left, bottom, w, h = place(k, width)
        for side, row in enumerate(pair):
            box = (left + side * (w + 0.005), bottom, w, h)
            axes = draw_image(figure, box, data.fetch(np.array([row]))[0].numpy())
            _text_below(axes, 0, table.at[row, "split"], weight="bold")
            for line, name in enumerate(names[:most], start=1):
                value = table.at[row, name]
                _text_below(axes, line, shorten("unknown" if value is None or value != value else value, 15))
    foot_note(figure, "Bold: the split of each image. Below it: the labels in which the two differ.")
    return figure


def _verdict(data: ImageData, predictions: Predictions, found: dict, label: str, k: int) -> list[tuple[str, str]]:
    """The lines (text, colour) that say what was predicted for image k."""
    predicted, target = found[label]
    classes = predictions.classes(label)
    name = classes[predicted.index[k]]
    if target[k] == MISSING:
        return [(shorten(f"{name} ?", 19), GREY)]
    if target[k] == predicted.index[k]:
        return [(shorten(name, 19), BLACK)]
    # a class that training never saw has no number, but a name in the table
    true = classes[target[k]] if target[k] >= 0 else data.catalogue.table.at[predictions.rows[k], label]
    return [(shorten(f"× {name}", 19), VERMILION), (shorten(f"   true: {true}", 21), VERMILION)]


def image_grid(n: int, columns: int, cell: float, height: float, lines: float, left: float = 0.0, foot: float = 0.0):
    """An empty figure for n images of a height in inches, each with lines of text below, and a function that gives the
    box of image k (figure fractions), for a width in inches."""
    pitch = height + lines * LINE / INCH + 0.09
    rows = max(-(-n // columns), 1)
    size = (TEXT_WIDTH, rows * pitch + foot)
    figure = plt.figure(figsize=size)

    def place(k: int, width: float) -> tuple[float, float, float, float]:
        row, column = divmod(k, columns)
        bottom = size[1] - row * pitch - height - 0.02
        return (left + column * cell) / size[0], bottom / size[1], width / size[0], height / size[1]

    return figure, place


def draw_image(figure: Figure, box: tuple[float, float, float, float], pixels: np.ndarray) -> Axes:
    """Pixels (H, W, 3) in a box (left, bottom, width, height) in shares of the figure."""
    axes = figure.add_axes(box)
    # 256 colours are more than a thumbnail needs, and a third of the bytes in a PDF
    reduced = Image.fromarray(np.ascontiguousarray(pixels)).quantize(256).convert("RGB")
    axes.imshow(np.asarray(reduced), aspect="auto")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=LIGHT)
    return axes


def mark_image(axes: Axes, right: bool | None) -> None:
    """A frame, and a mark in the picture's corner: ✓, ×, or ? for what is not known."""
    sign, colour = {True: ("✓", GREEN), False: ("×", VERMILION), None: ("?", GREY)}[right]
    axes.spines[:].set(color=colour, linewidth=1.4)
    # on white, so that it can be read on any garment
    paper = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    look = {"ha": "right", "va": "top", "fontsize": SMALL + 1, "weight": "bold", "color": colour, "bbox": paper}
    axes.annotate(sign, (1, 1), (-2.5, -2.5), "axes fraction", "offset points", **look)


def foot_note(figure: Figure, text: str) -> None:
    """A line of small grey text at the bottom left."""
    figure.text(0, 0.02 / figure.get_figheight(), text, fontsize=SMALL, color=GREY, va="bottom")


def _text_below(axes: Axes, line: int, text: str, **look) -> None:
    look = {"va": "baseline", "fontsize": SMALL, **look}
    axes.annotate(text, (0, 0), (0, -1 - (line + 1) * LINE), "axes fraction", "offset points", **look)


def text_beside(axes: Axes, side: float, up: float, text: str, ha: str = "left", size: float = SMALL, **look) -> None:
    """Text right of an image, from its top (side 1), or left of its middle (side 0.5), ``up`` points higher."""
    x, gap = (1, 3) if ha == "left" else (0, -4)
    look = {"va": "center", "fontsize": size, **look}
    axes.annotate(text, (x, side), (gap, up), "axes fraction", "offset points", ha=ha, **look)
