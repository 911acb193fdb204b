"""The one look of all figures (``study.mplstyle``), safe for colour-blind readers. Names are drawn as they are written:
a ``$`` or ``^`` in a class is no formula, a sign that the first font lacks comes from another."""

import re
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.textpath import text_to_path

TEXT_WIDTH = 6.3  # inches
SMALL = 6  # points
# Okabe and Ito (2008), without the yellow, which is lost on white paper
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
BLUE, VERMILION, GREEN, _, _, _, BLACK = COLOURS
GREY, LIGHT = "#6b6b6b", "#d9d9d9"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # as many as colours without grey, so that 56 pairs of them differ
# Each gives the signs that those before it lack; before all comes the user's own ``rcParams["font.family"]``.
FONTS = ["DejaVu Sans", "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei"]
FONTS += ["Noto Sans Devanagari", "Noto Naskh Arabic", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Thai"]
NAMES = {"images_seen": "images seen in training", "train_minutes": "training, minutes", "macro_f1": "macro-F1"}
NAMES |= {"map": "mAP", "map_at_r": "mAP@R", "micro_f1": "micro-F1", "mrr": "mean reciprocal rank", "item": "retrieval"}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Decorates a function that returns a figure: it draws in this look, and leaves rcParams as they were."""

    @wraps(draw)
    def drawn(*args, **options) -> Figure:
        there = set(font_manager.get_font_names())
        families = [name for name in dict.fromkeys([*mpl.rcParams["font.family"], *FONTS]) if name in there]
        if mpl.rcParams["font.family"] == families:  # within another styled function
            return draw(*args, **options)
        with plt.style.context([Path(__file__).with_name("study.mplstyle"), {"font.family": families}]):
            figure = draw(*args, **options)
            for axes in figure.axes:  # how many ticks there are depends on it, also when the figure is drawn later
                axes.tick_params(labelsize=mpl.rcParams["xtick.labelsize"])
            interactive = mpl.is_interactive()
        # the first figure loads the backend, which switches this on; undone by the context, no later one would be shown
        mpl.interactive(interactive)
        return figure

    return drawn


def words(name: str) -> str:
    """A column or metric as it is written in text: ``macro_f1`` is macro-F1, ``recall_at_1`` Recall@1."""
    if found := re.fullmatch(r"recall_at_(\d+)|top(\d+)_(\w+)", name):
        return f"Recall@{found[1]}" if found[1] else f"top-{found[2]} {words(found[3])}"
    return NAMES.get(name, name.replace("_", " "))


def inches_of(text: str, size: float) -> float:
    """How wide a text is in a size in points."""
    font = font_manager.FontProperties(size=size)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def shorten(text: object, inches: float, size: float = SMALL) -> str:
    """A text, on one line, that is at most so wide in ``size`` points; an ellipsis stands for what is cut off."""
    text = whole = " ".join(str(text).split())
    while len(text) > 1 and inches_of(text, size) > inches:
        whole = whole[:-1].rstrip()
        text = whole + "…"
    return text


def look_of(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """A colour and a mark for each name, by its place among them: the same order gives the same look."""
    palette = {name: (*COLOURS, GREY)[k % (len(COLOURS) + 1)] for k, name in enumerate(dict.fromkeys(names))}
    return {"palette": palette, "markers": {name: MARKERS[k % len(MARKERS)] for k, name in enumerate(palette)}}
