"""Figures of cleaning and search: suspicious labels, how many planted errors are found, duplicates that contradict
each other, and the neighbours of a photo."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fashionlib.data.images import ImageData
from .images import INCH, LINE, SMALL, draw_image, foot_note, image_grid, mark_image, text_beside
from .style import BLACK, COLOURS, GREY, LIGHT, MARKERS, TEXT_WIDTH, VERMILION, shorten, style
from fashionlib.shop.suspects import found_planted

CHARACTERS = 19  # of small text, to an inch
KIND_NAMES = {"any": "any other class", "sibling": "a class under the same parent", "all": "all"}


@style()
def suspect_montage(
    data: ImageData, suspects: pd.DataFrame, n: int = 40, planted: pd.DataFrame | None = None
) -> Figure:
    """The first n suspects, each with the given label, the suggested one after an arrow, and the probability of the
    given one. ``planted`` (of ``suspects.plant_errors``) puts a green frame and a tick on those that were planted."""
    shown = suspects.sort_values("rank").head(n)
    columns = 8
    cell = TEXT_WIDTH / columns
    width = cell * 0.92
    letters = int(width * CHARACTERS)
    height = width * data.size[1] / data.size[0]
    figure, place = image_grid(len(shown), columns, cell, height, 3.2, foot=0.3)
    known = set() if planted is None else set(planted["row"])
    for k, suspect in enumerate(shown.itertuples()):
        axes = draw_image(figure, place(k, width), data.fetch(np.array([suspect.row]))[0].numpy())
        lines = [(suspect.given, VERMILION), (f"→ {suspect.suggested}", BLACK), (f"p {suspect.p_given:.2f}", GREY)]
        _lines_below(axes, [(shorten(text, letters), colour) for text, colour in lines])
        if suspect.row in known:
            mark_image(axes, True)
    label = suspects["label"].iloc[0] if len(suspects) else "label"
    key = f"Given {label} → what the network believes most instead; p is what it believes of the given one"
    if planted is not None:
        found = int(shown["row"].isin(known).sum())
        key += f"\n✓ an error that was planted: {found} of these {len(shown)}"
    foot_note(figure, f"{key}.")
    return figure


@style()
def planted_curve(suspects: pd.DataFrame, planted: pd.DataFrame) -> Figure:
    """Precision and recall of planted errors against the number of suspects looked at, a line for each kind; a mark
    where as many were looked at as were planted, a dotted line for a ranking without any knowledge."""
    most = len(suspects) / planted["kind"].value_counts().min()
    points = found_planted(suspects, planted, np.geomspace(1 / len(planted), most, 200))
    marked = found_planted(suspects, planted, times=(1,)).set_index("kind")
    figure, panels = plt.subplots(1, 2, figsize=(TEXT_WIDTH, 2.6), layout="constrained")
    for number, (kind, part) in enumerate(points.groupby("kind", sort=False)):
        look = {"color": COLOURS[number], "marker": MARKERS[number]}
        one = marked.loc[kind]
        text = f"{KIND_NAMES[kind]} ({one['planted']:,.0f} planted): AP {one['average_precision']:.3f}"
        chances = {"precision": part["chance"], "recall": part["chance"] * part["examined"] / part["planted"]}
        for axes, (name, chance) in zip(panels, chances.items(), strict=True):
            axes.plot(part["examined"], part[name], color=look["color"], label=text)
            axes.plot(one["examined"], one[name], linestyle="none", markersize=5, zorder=3, **look)
            axes.plot(part["examined"], chance, color=look["color"], linestyle=":", linewidth=1)
    titles = {"precision": "of those looked at, planted", "recall": "of those planted, found"}
    for axes, (name, title) in zip(panels, titles.items(), strict=True):
        axes.set(xscale="log", ylim=(-0.02, 1.02), xlabel="suspects looked at", ylabel=name, title=title)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.grid()
    handles, texts = panels[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside upper center", ncols=1 + (len(texts) > 2))
    foot = "Mark: as many looked at as were planted. Dotted: a ranking without any knowledge."
    figure.supxlabel(foot, size=SMALL, color=GREY, x=0, ha="left")
    return figure


@style()
def duplicate_groups_figure(data: ImageData, groups: pd.DataFrame, n: int = 6, images: int = 6) -> Figure:
    """The first n groups of near-duplicates whose labels contradict each other (of ``cleaning.duplicate_table``), a
    row each, with at most ``images`` of each group: below an image its classes of the labels that conflict, the first
    four of them, in the order in which they are named beside the row. Raises ``ValueError`` if no group conflicts."""
    conflicting = groups[groups["conflicts"] != ""]
    shown = [part for _, part in conflicting.groupby("group")][:n]
    if not shown:
        raise ValueError("duplicate_groups_figure: no group has labels that conflict")
    most = 4
    named = [part["conflicts"].iloc[0].split("; ") for part in shown]
    lines = max(min(len(names), most) for names in named)
    left, columns = 1.25, images
    cell = (TEXT_WIDTH - left) / columns
    width = min(cell * 0.92, 0.66)
    height = width * data.size[1] / data.size[0]
    figure, place = image_grid(len(shown) * columns, columns, cell, height, lines + 0.4, left=left, foot=0.2)
    for row, (part, names) in enumerate(zip(shown, named, strict=True)):
        for k, member in enumerate(part.head(images).to_dict("records")):
            axes = draw_image(figure, place(row * columns + k, width), data.fetch(np.array([member["row"]]))[0].numpy())
            values = ["not given" if pd.isna(member[name]) else member[name] for name in names[:most]]
            _lines_below(axes, [(shorten(value, int(cell * CHARACTERS)), BLACK) for value in values])
            if k == 0:
                hidden = f", {images} shown" if len(part) > images else ""
                text_beside(axes, 0.5, 12, f"{len(part)} images{hidden}", ha="right", size=7)
                more = [f"and {len(names) - most} more"] if len(names) > most else []
                for line, name in enumerate(names[:most] + more):
                    text_beside(axes, 0.5, 2 - line * LINE, shorten(name, 20), ha="right", color=GREY)
    total = conflicting["group"].nunique()
    foot_note(figure, f"{len(shown)} of the {total:,} groups of near-duplicates whose labels contradict each other.")
    return figure


@style()
def neighbours_figure(
    photo: np.ndarray,
    tags: pd.DataFrame,
    images: np.ndarray,
    neighbours: pd.DataFrame,
    labels: Sequence[str] = (),
    filtered: Collection[str] = (),
) -> Figure:
    """A photo (H, W, 3) uint8 with its tags, beside its most similar items.

    ``tags`` are those of the one photo (of ``Tagger.tag``; columns task, label, confidence), each a bar as long as its
    confidence. ``neighbours`` has a row for each of ``images`` (K, H, W, 3) uint8, the most similar first, with the
    columns ``similarity`` and ``labels``; these are written below the image, vermilion and after a cross where they
    differ from the tag of that name - unless it is one of ``filtered``, which were asked for.
    """
    tagged = {task: tag for task, tag in zip(tags["task"], tags["label"], strict=True) if task not in filtered}
    left, columns = 2.3, 4
    cell = (TEXT_WIDTH - left) / columns
    width = cell * 0.9
    height = width * images.shape[1] / images.shape[2]
    lines, bar, picture = len(labels) + 1, 0.24, 1.1 * photo.shape[0] / photo.shape[1]
    rows = -(-len(images) // columns)
    missing = picture + bar * len(tags) + 0.2 - rows * (height + (lines + 0.6) * LINE / INCH + 0.09)
    figure, place = image_grid(len(images), columns, cell, height, lines + 0.6, left=left, foot=max(missing, 0.2) + 0.2)
    page = figure.get_figheight()
    draw_image(figure, (0, 1 - (picture + 0.02) / page, 1.1 / TEXT_WIDTH, picture / page), photo)
    top, tall = picture + 0.12, bar * len(tags)
    axes = figure.add_axes((0, 1 - (top + tall) / page, (left - 0.25) / TEXT_WIDTH, tall / page))
    _confidences(axes, tags)
    for k, neighbour in enumerate(neighbours.to_dict("records")):
        axes = draw_image(figure, place(k, width), images[k])
        _lines_below(axes, [(f"{neighbour['similarity']:.2f}", BLACK)], weight="bold")
        texts = []
        for label in labels:
            known, value = pd.notna(neighbour[label]), neighbour[label]
            differs = known and label in tagged and value != tagged[label]
            text = f"× {value}" if differs else value if known else "not given"
            colour = VERMILION if differs else BLACK if known else GREY
            texts.append((shorten(text, int(cell * CHARACTERS)), colour))
        _lines_below(axes, texts, first=1)
    below = f", then {', '.join(labels)} (× another than that of the photo)" if labels else ""
    foot_note(figure, f"Left the photo and its tags with their confidence.\nBold: cosine similarity{below}.")
    return figure


def _confidences(axes: Axes, tags: pd.DataFrame) -> None:
    """Tags as bars from 0 to 1 with their names on them, the first on top."""
    places = range(len(tags))
    axes.barh(places, tags["confidence"], color=LIGHT, height=0.86)
    for place, tag in zip(places, tags.to_dict("records"), strict=True):
        axes.text(0.015, place - 0.17, tag["task"], fontsize=SMALL - 1, color=GREY, va="center")
        axes.text(0.015, place + 0.19, shorten(tag["label"], 28), fontsize=SMALL + 0.5, va="center")
        axes.text(0.99, place + 0.19, f"{tag['confidence']:.2f}", fontsize=SMALL + 0.5, ha="right", va="center")
    axes.set(xlim=(0, 1), ylim=(len(tags) - 0.5, -0.5), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _lines_below(axes: Axes, lines: Sequence[tuple[str, str]], first: int = 0, **look) -> None:
    """Lines of small text (text, colour) below an image, from line ``first`` on."""
    for line, (text, colour) in enumerate(lines, start=first + 1):
        look = {**look, "va": "baseline", "fontsize": SMALL, "color": colour}
        axes.annotate(text, (0, 0), (0, -1 - line * LINE), "axes fraction", "offset points", **look)
