"""Figures of retrieval: what was found for some queries, recall against K, a map of the embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fashionlib.data.images import ImageData
from .images import draw_image, foot_note, image_grid, mark_image, text_beside
from .style import COLOURS, GREY, LIGHT, MARKERS, TEXT_WIDTH, shorten, style
from fashionlib.metrics.ranking import Ranking, mean_intervals


@style()
def retrieval_montage(
    data: ImageData,
    query_rows: np.ndarray,
    gallery_rows: np.ndarray,
    ranking: Ranking,
    n: int = 8,
    k: int = 6,
    seed: int = 0,
) -> Figure:
    """n queries, each in a row with its k nearest gallery images: those of the same item are framed green and marked
    with a tick, the others vermilion with a cross.

    The queries are drawn by seed, not chosen: half of them where the nearest image is a match, half where it is not;
    where one kind has too few, the other fills up. ``query_rows`` and ``gallery_rows`` are the row numbers of the
    images that ``ranking`` was made of.
    """
    right = ranking.first_match_rank == 1
    rng = np.random.default_rng(seed)
    good, bad = (rng.permutation(np.flatnonzero(kind)) for kind in (right, ~right))
    n_good = min(len(good), max(n // 2, n - len(bad)))
    shown = [*good[:n_good], *bad[: n - n_good]]
    k = min(k, ranking.nearest.shape[1])
    label, gap = 1.2, 0.12
    cell = min((TEXT_WIDTH - label - gap) / (k + 1), 0.72)
    width = cell * 0.88
    height = width * data.size[1] / data.size[0]
    figure, place = image_grid(len(shown) * (k + 1), k + 1, cell, height, 0.3, left=label, foot=0.3)
    for row, q in enumerate(shown):
        pixels = data.fetch(np.r_[query_rows[ranking.queries[q]], gallery_rows[ranking.nearest[q, :k]]]).numpy()
        query = draw_image(figure, place(row * (k + 1), width), pixels[0])
        rank, matches = ranking.first_match_rank[q], ranking.matches[q]
        text_beside(query, 0.5, 4, f"match at rank {rank:,}", ha="right", size=7)
        text_beside(query, 0.5, -6, f"{matches} in the gallery", ha="right", color=GREY)
        for column, hit in enumerate(ranking.hits[q, :k], start=1):
            left, bottom, w, h = place(row * (k + 1) + column, width)
            axes = draw_image(figure, (left + gap / TEXT_WIDTH, bottom, w, h), pixels[column])
            mark_image(axes, bool(hit))
    foot_note(
        figure,
        "Left the query, then its nearest gallery images. ✓ same item, × another item.\n"
        f"Drawn at random: {n_good} where the nearest image is a match (true of {right.sum():,} of {len(right):,} "
        f"queries), {len(shown) - n_good} where it is not.",
    )
    return figure


@style()
def recall_curve(rankings: Mapping[str, Ranking], most: int = 30) -> Figure:
    """Recall@K of rankings by name for K from 1 to ``most``, each with its 95% bootstrap interval over items."""
    places = np.arange(1, most + 1)
    figure, axes = plt.subplots(figsize=(TEXT_WIDTH * 0.8, 2.9), layout="constrained")
    for number, (name, ranking) in enumerate(rankings.items()):
        found = ranking.first_match_rank[:, None] <= places
        low, high = np.array(mean_intervals(found.astype(float), ranking.items)).T
        look = {"color": COLOURS[number % 7], "marker": MARKERS[number % 7], "markevery": (number % 3, 3)}
        axes.fill_between(places, low, high, color=COLOURS[number % 7], alpha=0.18, linewidth=0)
        axes.plot(places, found.mean(0), label=f"{name}: {found[:, 0].mean():.3f} at 1", markersize=3, **look)
    axes.set(xlabel="K, gallery images looked at", ylabel="Recall@K, with 95% interval", ylim=(0, 1))
    axes.set_xlim(0.5, most + 0.5)
    axes.set_xticks([place for place in (1, 5, 10, 15, 20, 25, 30, *range(40, most + 1, 10)) if place <= most])
    axes.grid()
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


@style()
def embedding_map(points: np.ndarray, labels: Sequence[str | None], commonest: int = 7) -> Figure:
    """Images as points (N, 2), coloured and marked by their label; named are the ``commonest`` labels, at most seven,
    the others are grey. The axes of such a projection have no unit."""
    labels = pd.Series(np.asarray(labels, dtype=object))
    counts = labels.value_counts()
    named = counts.index[: min(commonest, len(COLOURS))]
    figure, axes = plt.subplots(figsize=(TEXT_WIDTH, 4.2), layout="constrained")
    others = ~labels.isin(named).to_numpy()
    if others.any():
        more = len(counts) - len(named)
        text = f"{more} others" if more else "no label"
        _points(axes, points[others], f"{text}, {others.sum():,}", color=LIGHT, marker="o")
    for number, name in enumerate(named):
        of_name = (labels == name).to_numpy()
        text = f"{shorten(name, 22)}, {of_name.sum():,}"
        _points(axes, points[of_name], text, color=COLOURS[number], marker=MARKERS[number])
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set(visible=True, color=LIGHT)
    handles, texts = axes.get_legend_handles_labels()
    turn = len(texts) - len(named)  # the others come last in the legend, though they are drawn first
    look = {"loc": "outside right upper", "markerscale": 1.6, "title": "images", "alignment": "left"}
    figure.legend(handles[turn:] + handles[:turn], texts[turn:] + texts[:turn], **look)
    return figure


def project(embeddings: np.ndarray, seed: int = 0) -> np.ndarray:
    """Embeddings (N, D) of unit length as points (N, 2) by t-SNE (van der Maaten and Hinton, 2008): neighbours stay
    neighbours, while distances between groups and their sizes mean nothing. About a minute for 5,000 on one core.
    Raises ``ValueError`` for fewer than three."""
    from sklearn.manifold import TSNE

    if len(embeddings) < 3:
        raise ValueError(f"a map of {len(embeddings)} embeddings says nothing; it needs at least 3")
    perplexity = min(30.0, (len(embeddings) - 1) / 3)
    return TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(embeddings)


def _points(axes: Axes, points: np.ndarray, label: str, **look) -> None:
    axes.scatter(points[:, 0], points[:, 1], s=9, alpha=0.7, linewidths=0, label=label, rasterized=True, **look)
