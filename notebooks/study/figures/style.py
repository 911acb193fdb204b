"""The one look of all figures: sized for a page of 6.3 inches of text, safe for colour-blind readers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from cycler import cycler

TEXT_WIDTH = 6.3  # inches
# Okabe and Ito (2008), without the yellow, which is lost on white paper
BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE, BLACK = COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#000000",
)
GREY, LIGHT = "#6b6b6b", "#d9d9d9"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # beside the colour, for a print in black and white

RC = {
    "figure.dpi": 110,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures are the same everywhere
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": GREY,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.axisbelow": True,
    "grid.color": LIGHT,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
}


@contextmanager
def style() -> Iterator[None]:
    """The look, for as long as the context lasts; also a decorator: ``@style()``."""
    with mpl.rc_context(RC):
        yield
        interactive = mpl.is_interactive()
    # a notebook's backend is loaded with the first figure and switches interactive mode on; if the context undid that,
    # no later figure would be shown
    mpl.interactive(interactive)


def shorten(text: object, length: int) -> str:
    """A text of at most ``length`` characters; an ellipsis stands for what is cut off."""
    text = str(text)
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
