"""Figures of retrieval: what was found for some queries, recall against K, a map of the embedding."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fashionlib.data.images import ImageData
from fashionlib.metrics.bootstrap import resampled_means
from fashionlib.metrics.ranking import Ranking

from .images import Page, draw_image, mark_image
from .style import BLACK, COLOURS, GREY, LIGHT, SMALL, TEXT_WIDTH, VERMILION, look_of, shorten, styled
from .training import curves


@styled
def retrieval_montage(
    data: ImageData, query_rows: np.ndarray, gallery_rows: np.ndarray, ranking: Ranking, n: int = 8, k: int = 6, seed=0
) -> Figure:
    """n queries, each in a row with its k nearest gallery images: those of the same item are framed green and marked
    with a tick, the others vermilion with a cross. The queries are drawn by seed, half of them where the nearest image
    is a match, half where it is not; where one kind has too few, the other fills up. ``query_rows`` and
    ``gallery_rows`` are the row numbers of the images that ``ranking`` was made of."""
    right = ranking.first_match_rank == 1
    rng = np.random.default_rng(seed)
    good, bad = (rng.permutation(np.flatnonzero(kind)) for kind in (right, ~right))
    n_good = min(len(good), max(n // 2, n - len(bad)))
    shown, k = [*good[:n_good], *bad[: n - n_good]], min(k, ranking.nearest.shape[1])
    note = f"Left the query, then its nearest gallery images. ✓ same item, × another item.\nDrawn at random: {n_good} "
    note += f"where the nearest image is a match (true of {right.sum():,} of {len(right):,} queries), "
    note += f"{len(shown) - n_good} where it is not."
    page = Page(len(shown) * (k + 1), data.size, k + 1, below=0.3, left=1.2, width=0.63, note=note)
    for row, q in enumerate(shown):
        rows = np.r_[query_rows[ranking.queries[q]], gallery_rows[ranking.nearest[q, :k]]]
        matches = f"{ranking.matches[q]} in the gallery"
        title = f"match at rank {ranking.first_match_rank[q]:,}"
        _, *found = page.row(row, data.fetch(rows).numpy(), title, [matches])
        for axes, hit in zip(found, ranking.hits[q, :k], strict=True):
            mark_image(axes, bool(hit))
    return page.figure


@styled
def recall_curve(rankings: Mapping[str, Ranking], most: int = 30) -> Figure:
    """Recall@K of rankings by name for K from 1 to ``most``, each with its 95% bootstrap interval over items."""
    places, parts = np.arange(1, most + 1), []
    for name, ranking in rankings.items():
        found = (ranking.first_match_rank[:, None] <= places).astype(float)
        low, high = np.quantile(resampled_means(found, ranking.items), [0.025, 0.975], axis=0)
        part = pd.DataFrame({"k": places, "recall": found.mean(0), "ci_low": low, "ci_high": high})
        parts.append(part.assign(embedding=f"{name}: {found[:, 0].mean():.3f} at 1"))
    figure = curves(pd.concat(parts), "k", "recall", "embedding")
    axes = figure.axes[0]
    axes.set(xlabel="K, gallery images looked at", ylabel="Recall@K, with 95% interval", ylim=(0, 1))
    axes.set(xlim=(0.5, most + 0.5), xticks=[1, *range(5, most + 1, 5)])
    return figure


@styled
def embedding_map(points: np.ndarray, labels: pd.Series, commonest: int = 7) -> Figure:
    """Images as points (N, 2), coloured and marked by their label, whose name is the legend's title; named are the
    ``commonest`` labels, at most seven, the others are grey. The axes of such a projection have no unit."""
    counts = labels.value_counts()
    most = counts.index[: min(commonest, len(COLOURS))]  # names that look alike differ by blanks at their end
    named = {name: f"{shorten(name, 1.2, 7)}, {counts[name]:,}{' ' * k}" for k, name in enumerate(most)}
    keys, look = labels.astype(object).map(named), look_of(named.values())
    if keys.isna().any():
        rest = f"all others, {keys.isna().sum():,}"
        look["palette"][rest], look["markers"][rest] = LIGHT, "o"
        keys = keys.fillna(rest)
    order = {"hue": "key", "style": "key", "hue_order": list(look["palette"]), "style_order": list(look["palette"])}
    table = pd.DataFrame(points, columns=["x", "y"]).assign(key=keys.to_numpy())
    table = table.iloc[np.argsort(labels.isin(list(named)).to_numpy(), kind="stable")]  # the grey ones are drawn first
    figure, axes = plt.subplots(figsize=(TEXT_WIDTH, 4.2), layout="constrained")
    sns.scatterplot(table, x="x", y="y", s=12, alpha=0.7, linewidth=0, rasterized=True, ax=axes, **order, **look)
    axes.set(xticks=[], yticks=[], aspect="equal", xlabel="", ylabel="")
    axes.spines[:].set(visible=True, color=LIGHT)
    handles = axes.get_legend_handles_labels()[0]
    axes.get_legend().remove()
    look = {"loc": "outside right upper", "markerscale": 1.3, "alignment": "left"}
    figure.legend(handles=handles, title=f"{labels.name or 'label'}, images", **look)
    return figure


@styled
def neighbours(
    photo: np.ndarray, tags: pd.DataFrame, images: np.ndarray, found: pd.DataFrame, labels: Sequence[str], filtered=()
) -> Figure:
    """A photo (H, W, 3) uint8 with its tags, beside its most similar items.

    ``tags`` are those of the one photo (of ``Tagger.tag``; columns task, label, confidence), each a bar as long as its
    confidence. ``found`` has a row for each of ``images`` (K, H, W, 3) uint8, the most similar first, with the columns
    ``similarity`` and ``labels``; these are written below the image, vermilion and after a cross where they differ from
    the tag of that name - unless it is one of the labels ``filtered``, which were asked for."""
    tagged = {task: tag for task, tag in zip(tags["task"], tags["label"], strict=True) if task not in filtered}
    left, bar, picture = 2.3, 0.24, 1.1 * photo.shape[0] / photo.shape[1]
    below = f", then {', '.join(labels)} (× another than that of the photo)" if labels else ""
    note = f"Left the photo and its tags with their confidence.\nFirst the cosine similarity{below}."
    size, least = (images.shape[2], images.shape[1]), picture + bar * len(tags) + 0.6
    page = Page(len(images), size, 4, below=len(labels) + 1.6, left=left, note=note, least=least)
    tall = page.figure.get_figheight()
    draw_image(page.figure, (0, 1 - (picture + 0.02) / tall, 1.1 / TEXT_WIDTH, picture / tall), photo)
    bottom, width = 1 - (picture + 0.12 + bar * len(tags)) / tall, left - 0.25
    _confidences(page.figure.add_axes((0, bottom, width / TEXT_WIDTH, bar * len(tags) / tall)), tags, width)
    for k, item in enumerate(found.to_dict("records")):
        lines = [(f"{item['similarity']:.2f}", BLACK)]
        for label in labels:
            known, value = pd.notna(item[label]), item[label]
            differs = known and label in tagged and value != tagged[label]
            text = f"× {value}" if differs else str(value) if known else "not given"
            lines.append((text, VERMILION if differs else BLACK if known else GREY))
        page.show(k, images[k], lines)
    return page.figure


def _confidences(axes: Axes, tags: pd.DataFrame, inches: float) -> None:
    """Tags as bars from 0 to 1 with their names on them, the first on top."""
    axes.barh(range(len(tags)), tags["confidence"], color=LIGHT, height=0.86)
    look = {"fontsize": SMALL + 0.5, "va": "center"}
    for place, tag in enumerate(tags.to_dict("records")):
        axes.text(0.015, place - 0.17, shorten(tag["task"], inches - 0.1), fontsize=SMALL - 1, color=GREY, va="center")
        axes.text(0.015, place + 0.19, shorten(tag["label"], inches - 0.4, SMALL + 0.5), **look)
        axes.text(0.99, place + 0.19, f"{tag['confidence']:.2f}", ha="right", **look)
    axes.set(xlim=(0, 1), ylim=(len(tags) - 0.5, -0.5), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
