"""Metrics of multi-label predictions. Truth is (N, C): 1 applies, 0 does not, negative unknown and left out.

Plain accuracy per bit is not among them: with a thousand rare attributes the empty answer reaches 99%.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def average_precisions(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Average precision of each class (C,), NaN without a positive; both arrays (N, C)."""
    from sklearn.metrics import average_precision_score

    result = np.full(truth.shape[1], np.nan)
    for column in range(truth.shape[1]):
        known = truth[:, column] >= 0
        if truth[known, column].any():
            result[column] = average_precision_score(truth[known, column], probabilities[known, column])
    return result


def mean_average_precision(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The mean of ``average_precisions`` over the classes that have a positive; NaN if none has."""
    each = average_precisions(probabilities, truth)
    return float(np.nanmean(each)) if np.isfinite(each).any() else float("nan")


def best_thresholds(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """For each class the threshold (C,) with the best F1: to be chosen on validation images and used on others.

    A class answers yes where its probability is at least its threshold. A class without a positive never does.
    """
    thresholds = np.full(truth.shape[1], np.inf)
    for column in range(truth.shape[1]):
        known = truth[:, column] >= 0
        positive, score = truth[known, column] == 1, probabilities[known, column]
        if not positive.any():
            continue
        order = np.argsort(-score, kind="stable")
        hits = np.cumsum(positive[order])
        f1 = 2 * hits / (np.arange(1, len(hits) + 1) + positive.sum())
        last = np.append(np.diff(score[order]) != 0, True)  # equal scores fall on one side together
        thresholds[column] = score[order][np.argmax(np.where(last, f1, -1))]
    return thresholds


def thresholded_scores(probabilities: np.ndarray, truth: np.ndarray, thresholds: np.ndarray) -> dict[str, float]:
    """micro_f1, macro_f1 (over classes with a positive), hamming_loss, and the hamming_loss_of_nothing that the empty
    answer has, at the given thresholds (C,)."""
    known, positive = truth >= 0, truth == 1
    chosen = (probabilities >= thresholds) & known
    scored = positive.any(0)
    return {
        "micro_f1": float(_f1(chosen.ravel(), positive.ravel())),
        "macro_f1": float(_f1(chosen, positive)[scored].mean()) if scored.any() else float("nan"),
        "hamming_loss": float((chosen != positive)[known].mean()),
        "hamming_loss_of_nothing": float(positive[known].mean()),
    }


def top_k_recall(
    probabilities: np.ndarray, truth: np.ndarray, groups: Sequence[str] = (), ks: Sequence[int] = (3, 5)
) -> pd.DataFrame:
    """Top-k recall as used on DeepFashion (Liu et al., 2016), in its three readings, which differ more than twofold.

    Columns scope, k, recall, labels (how many true labels it is a share of). For a *group* only its attributes are
    ranked, and the recall is the share of its true labels among the k best of each image. ``"pooled"`` sums these
    hits and labels over the groups. ``"all"`` ranks all attributes together. Unknown attributes are not ranked.
    """
    scores = np.where(truth >= 0, probabilities, -np.inf)
    positive = truth == 1
    names = list(dict.fromkeys(groups))
    rows = []
    for k in ks:
        pooled = np.zeros(2, int)
        for name in names:
            inside = np.array([group == name for group in groups])
            found = _hits(scores[:, inside], positive[:, inside], k)
            pooled += found
            rows.append((name, k, *found))
        if names:
            rows.append(("pooled", k, *pooled))
        rows.append(("all", k, *_hits(scores, positive, k)))
    table = pd.DataFrame(rows, columns=["scope", "k", "hits", "labels"])
    return table.assign(recall=table["hits"] / table["labels"].where(table["labels"] > 0))[
        ["scope", "k", "recall", "labels"]
    ]


def _hits(scores: np.ndarray, positive: np.ndarray, k: int) -> tuple[int, int]:
    k = min(k, scores.shape[1])
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return int(np.take_along_axis(positive, best, axis=1).sum()), int(positive.sum())


def attribute_table(
    probabilities: np.ndarray,
    truth: np.ndarray,
    classes: Sequence[str],
    groups: Sequence[str] = (),
    thresholds: np.ndarray | None = None,
) -> pd.DataFrame:
    """One row per class: attribute, group, n_test (positives), prevalence, average_precision, lift (how many times the
    prevalence, which is what a constant answer reaches), and f1 where thresholds are given."""
    known, positive = truth >= 0, truth == 1
    prevalence = positive.sum(0) / np.maximum(known.sum(0), 1)
    precision = average_precisions(probabilities, truth)
    table = pd.DataFrame({"attribute": classes, "group": groups or "", "n_test": positive.sum(0)})
    table["prevalence"], table["average_precision"] = prevalence, precision
    table["lift"] = precision / np.where(prevalence > 0, prevalence, np.nan)
    if thresholds is not None:
        table["f1"] = _f1((probabilities >= thresholds) & known, positive)
    return table


def _f1(chosen: np.ndarray, positive: np.ndarray) -> np.ndarray:
    return 2 * (chosen & positive).sum(0) / np.maximum(chosen.sum(0) + positive.sum(0), 1)


def map_interval(
    probabilities: np.ndarray, truth: np.ndarray, repeats: int = 200, seed: int = 0
) -> tuple[float, float]:
    """95% percentile interval of the mean average precision, resampling images (Efron, 1979), ``without_bias``."""
    draws = resampled_maps(probabilities, truth, draw_images(len(truth), repeats, seed))
    return percentile_interval(without_bias(draws, mean_average_precision(probabilities, truth)))


def draw_images(n: int, repeats: int, seed: int = 0) -> np.ndarray:
    """How often each of n images occurs in each of some bootstrap resamples: float32 (repeats, n)."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), repeats).astype(np.float32)


def resampled_maps(probabilities: np.ndarray, truth: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The mean average precision (R,) in each resample of ``drawn`` (R, N), both others (N, C).

    An image drawn n times counts n times, so each class is sorted once. Images of equal score are found together, as
    in ``average_precisions``. A class without a positive is left out of a resample's mean, NaN if no class has one.
    """
    sums, counts = np.zeros(len(drawn)), np.zeros(len(drawn))
    for column in range(truth.shape[1]):
        known = np.flatnonzero(truth[:, column] >= 0)
        order = known[np.argsort(-probabilities[known, column], kind="stable")]
        positives = np.flatnonzero(truth[order, column] == 1)
        if len(positives) == 0:
            continue
        score = probabilities[order, column]
        ends = np.flatnonzero(np.append(score[1:] != score[:-1], True))  # the last image of each score
        step = np.searchsorted(ends, positives)
        new = np.append(step[1:] != step[:-1], True)  # the last positive of each score that has one
        hits = np.cumsum(drawn[:, order[positives]], axis=1)[:, new]
        seen = np.cumsum(drawn[:, order], axis=1)[:, ends[step[new]]]
        precision, total = hits / np.maximum(seen, 1), hits[:, -1]
        sums += (np.diff(hits, axis=1, prepend=0) * precision).sum(1) / np.maximum(total, 1)
        counts += total > 0
    return sums / np.where(counts > 0, counts, np.nan)


def without_bias(draws: np.ndarray, value: float) -> np.ndarray:
    """Resampled values (R,) less the bootstrap's estimate of their bias, so that ``value`` is their mean (Efron and
    Tibshirani, 1993, chapter 10).

    The average precision of a rare class is higher in a resample, where a positive that is drawn twice has itself for
    company at the top: with many rare classes the plain percentiles may not even hold the value that they are for.
    """
    seen = draws[np.isfinite(draws)]
    return draws - seen.mean() + value if len(seen) else draws


def percentile_interval(draws: np.ndarray) -> tuple[float, float]:
    """The middle 95% of resampled values (R,), of which those that are NaN do not count."""
    draws = draws[np.isfinite(draws)]
    low, high = np.percentile(draws, [2.5, 97.5]) if len(draws) else (np.nan, np.nan)
    return float(low), float(high)
