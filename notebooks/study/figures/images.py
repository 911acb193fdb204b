"""Figures that show images: pages of them in a grid, with words around each."""

from collections.abc import Iterable, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from fashionlib.data.images import ImageData
from fashionlib.evaluation.predict import Predictions
from fashionlib.metrics.attributes import average_precisions
from fashionlib.tasks.labels import MISSING

from .style import BLACK, GREEN, GREY, LIGHT, SMALL, TEXT_WIDTH, VERMILION, shorten, styled

LINE = 7.4  # points between lines of small text
INCH = 72


class Page:
    """A figure for ``n`` images of ``size`` (width, height) in rows of ``columns``, with ``below`` lines of small text
    under each, ``left`` inches free before each row, and a ``note`` at the foot. An image is ``width`` inches wide, or
    narrower where the page has no room for it; the page is ``least`` inches high."""

    def __init__(
        self, n: int, size: tuple[int, int], columns: int, *, below=0.0, left=0.0, width=1.0, note="", least=0.3
    ):
        self.columns, self.left = columns, left
        self.cell = (TEXT_WIDTH - left) / columns
        self.width = min(self.cell * 0.92, width)
        self.height = self.width * size[1] / size[0]
        self.pitch = self.height + below * LINE / INCH + 0.09
        note = "\n".join(fill(line, 115) for line in note.split("\n"))
        foot = (note.count("\n") + 1) * LINE * 1.2 / INCH + 0.06 if note else 0
        self.figure = plt.figure(figsize=(TEXT_WIDTH, max(-(-n // columns) * self.pitch + foot, least)))
        self.figure.text(0, 0.02 / self.figure.get_figheight(), note, fontsize=SMALL, color=GREY, va="bottom")

    def show(self, k: int, pixels: np.ndarray, lines: Sequence[str | tuple[str, str]] = (), shift: float = 0) -> Axes:
        """Draw pixels (H, W, 3) uint8 in place k, ``shift`` inches to the right, and below them lines, each a text or
        (text, colour)."""
        row, column = divmod(k, self.columns)
        page = self.figure.get_figheight()
        bottom = page - row * self.pitch - self.height - 0.02
        box = (self.left + column * self.cell + shift, bottom, self.width, self.height)
        axes = draw_image(self.figure, np.array(box) / (TEXT_WIDTH, page, TEXT_WIDTH, page), pixels)
        for line, text in enumerate(lines, start=1):
            text, colour = (text, BLACK) if isinstance(text, str) else text
            write(axes, (0, 0), (0, -1 - line * LINE), shorten(text, self.cell - 0.09), color=colour)
        return axes

    def row(self, row: int, pixels: Iterable[np.ndarray], title: str, details: Sequence[str], lines=None) -> list[Axes]:
        """Draw a row of images, each with its ``lines``, a title and smaller grey details left of the first."""
        start, lines = row * self.columns, lines or [()] * self.columns
        drawn = [self.show(start + k, image, lines[k]) for k, image in enumerate(pixels)]
        look, top = {"ha": "right", "va": "center"}, 3.7 * len(details)
        write(drawn[0], (0, 0.5), (-4, top), shorten(title, self.left - 0.1, 7), fontsize=7, **look)
        for line, text in enumerate(details):
            at = (-4, top - 9 - line * LINE)
            write(drawn[0], (0, 0.5), at, shorten(text, self.left - 0.1), color=GREY, **look)
        return drawn


def draw_image(figure: Figure, box: Iterable[float], pixels: np.ndarray) -> Axes:
    """Pixels (H, W, 3) in a box (left, bottom, width, height) in shares of the figure."""
    axes = figure.add_axes(tuple(box), xticks=[], yticks=[])
    # 256 colours are more than a thumbnail needs, and a third of the bytes in a PDF
    reduced = Image.fromarray(np.ascontiguousarray(pixels)).quantize(256).convert("RGB")
    axes.imshow(np.asarray(reduced), aspect="auto")
    axes.spines[:].set(visible=True, color=LIGHT)
    return axes


def write(axes: Axes, corner: tuple[float, float], offset: tuple[float, float], text: str, **look) -> None:
    """Small text, ``offset`` points from a corner of an image given in shares of it."""
    axes.annotate(text, corner, offset, "axes fraction", "offset points", **{"fontsize": SMALL, **look})


def mark_image(axes: Axes, right: bool | None) -> None:
    """A frame, and a mark in the picture's corner: ✓, ×, or ? for what is not known."""
    sign, colour = {True: ("✓", GREEN), False: ("×", VERMILION), None: ("?", GREY)}[right]
    axes.spines[:].set(color=colour, linewidth=1.4)
    # on white, so that it can be read on any garment
    paper = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    look = {"ha": "right", "va": "top", "fontsize": SMALL + 1, "weight": "bold", "color": colour, "bbox": paper}
    write(axes, (1, 1), (-2.5, -2.5), sign, **look)


@styled
def image_montage(images: np.ndarray, titles: Sequence[str] = (), columns: int = 8) -> Figure:
    """Images (N, H, W, 3) uint8 in a grid, with an optional title (of any number of lines) below each."""
    lines = [str(title).split("\n") for title in titles] or [[]] * len(images)
    page = Page(len(images), images.shape[2:0:-1], columns, below=max(map(len, lines), default=0), width=TEXT_WIDTH)
    for k, pixels in enumerate(images):
        page.show(k, pixels, lines[k])
    return page.figure


@styled
def prediction_montage(
    data: ImageData, predictions: Predictions, n: int = 16, labels: Sequence[str] | None = None
) -> Figure:
    """The first n images of some predictions, the predicted classes beside each; a wrong one is vermilion, begins with
    a cross and is followed by the true class. Raises ``ValueError`` if no label is predicted."""
    labels = list(predictions.labels() if labels is None else labels)
    if not labels:
        raise ValueError("prediction_montage: these predictions hold no label with one class per image")
    rows = predictions.rows[:n]
    verdicts = [_verdicts(data, predictions, label) for label in labels]
    texts = [[line for verdict in verdicts for line in verdict[k]] for k in range(len(rows))]
    width = 0.6
    below = max(map(len, texts)) - width * data.size[1] / data.size[0] * INCH / LINE
    note = f"{'Predicted' if len(labels) == 1 else 'From top to bottom:'} {', '.join(labels)}."
    note += "\n× wrong, with the true class below it; ? true class not known"
    page = Page(len(rows), data.size, 4, below=max(0.0, below), width=width, note=note)
    for k, pixels in enumerate(data.fetch(rows).numpy()):
        axes = page.show(k, pixels)
        for line, (text, colour) in enumerate(texts[k]):
            write(axes, (1, 1), (3, -(line + 0.8) * LINE), shorten(text, page.cell - width - 0.08), color=colour)
    return page.figure


@styled
def attribute_montage(
    data: ImageData, predictions: Predictions, task: str, classes: Sequence[str], n: int = 8
) -> Figure:
    """For each of some classes of a many-label task the n images of ``predictions.rows`` with the highest probability,
    the highest first: a tick where the class is among the image's labels, a cross where it is not, ? where nobody
    knows. Beside a row: class, average precision, how many images have it. ``ValueError`` for a strange class."""
    known, groups = predictions.tasks[task].labels[task], predictions.tasks[task].groups
    if missing := [name for name in classes if name not in known]:
        raise ValueError(f"attribute_montage: {missing[0]!r} is not among the {len(known)} classes of {task!r}")
    columns = [known.index(name) for name in classes]
    probabilities, truth = predictions.activations[task][:, columns], predictions.targets[task][:, columns]
    precisions = average_precisions(probabilities, truth)
    note = "Highest probability first. ✓ among the labels of the image   × not among them   ? not known\n"
    note += f"AP: average precision over {len(predictions.rows):,} images, and how many of them have the label."
    page = Page(len(classes) * n, data.size, n, left=1.25, width=0.66, note=note)
    for row, (name, column) in enumerate(zip(classes, columns, strict=True)):
        best = np.argsort(-probabilities[:, row], kind="stable")[:n]
        count = (truth[:, row] == 1).sum()
        says = f"AP {precisions[row]:.3f}, {count:,} images" if count else "no image has it"
        title = name.removeprefix(f"{groups[column]}:") if groups else name
        drawn = page.row(row, data.fetch(predictions.rows[best]).numpy(), title, [says])
        for axes, right in zip(drawn, truth[best, row], strict=True):
            mark_image(axes, {1: True, 0: False}.get(int(right)))
    return page.figure


def _verdicts(data: ImageData, predictions: Predictions, label: str) -> list[list[tuple[str, str]]]:
    """For each image the lines (text, colour) that say what was predicted."""
    predicted, target = predictions.labels()[label]
    classes, given = predictions.classes(label), data.catalogue.table[label].iloc[predictions.rows]
    verdicts = []
    for index, true, name in zip(predicted.index, target, given, strict=True):
        if true == MISSING or true == index:
            verdicts.append([(f"{classes[index]} ?", GREY) if true == MISSING else (classes[index], BLACK)])
        else:  # a class that training never saw has no number, but a name in the table
            true = classes[true] if true >= 0 else name
            verdicts.append([(f"× {classes[index]}", VERMILION), (f"   true: {true}", VERMILION)])
    return verdicts
