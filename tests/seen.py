"""What a reader sees of a figure: its words, which images it shows, and what is cut off or lies on something else."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

from fashionlib.data.catalogue import Catalogue
from fashionlib.data.images import ImageData

SHADES = 240


def shaded(table: pd.DataFrame, tasks) -> ImageData:
    """Data whose images are of one shade each, by which ``row_of`` tells them in a figure."""
    n = len(table)
    table = pd.DataFrame({"image": [str(k) for k in range(n)], "split": "train"}).assign(**table)
    pixels = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.full((n, 8, 6, 3), SHADES // n, np.uint8)
    return ImageData(Catalogue(table, tasks, SimpleNamespace(fingerprint="x"), "tiny"), pixels, np.arange(n))


def row_of(axes, data: ImageData) -> int:
    return int(np.asarray(axes.images[0].get_array())[0, 0, 0]) // (SHADES // len(data.catalogue))


def said(axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


def ticks(axes) -> list[str]:
    return [text.get_text() for text in axes.get_yticklabels()]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]


def legend(figure: Figure) -> list[str]:
    return [text.get_text().rstrip() for text in figure.legends[0].get_texts()]


def words_of(figure: Figure) -> list[Text]:
    """Every text that is drawn; a tick outside of the limits is there, but not drawn."""
    figure.draw_without_rendering()
    hidden = {text for axes in figure.axes if not axes.get_visible() for text in axes.findobj(Text)}
    for axes in figure.axes:
        for labels, limits, which in (
            (axes.get_xticklabels(which="both"), axes.get_xlim(), 0),
            (axes.get_yticklabels(which="both"), axes.get_ylim(), 1),
        ):
            low, high = sorted(limits)
            hidden |= {label for label in labels if not low <= label.get_position()[which] <= high}
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible() and text not in hidden]


def unreadable(figure: Figure, drawn: list[Text] | None = None) -> list[str]:
    """Texts that leave the page, lie on another text, or but for a mark in its corner on an image; ``drawn``: the
    ``words_of`` the figure, if it was drawn already."""
    drawn = words_of(figure) if drawn is None else drawn
    level = [text for text in drawn if text.get_rotation() % 90 == 0]  # the box of a slanted one is not its shape
    pictures = [axes.get_window_extent().padded(-1) for axes in figure.axes if axes.images]
    page, bad, boxes = figure.bbox.padded(1), [], []
    for text in drawn:
        box = Text.get_window_extent(text)
        others = boxes + (pictures if text.get_text() not in "✓×?" else [])
        inside = page.contains(*box.min) and page.contains(*box.max)
        if not inside or text in level and any(box.padded(-0.5).overlaps(other) for other in others):
            bad.append(text.get_text())
        boxes += [box] if text in level else []
    return bad
