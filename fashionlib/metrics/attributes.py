"""Metrics of multi-label predictions. Truth is (N, C): 1 applies, 0 does not, negative unknown and left out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def average_precisions(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Average precision of each class (C,), NaN without a positive; both arrays (N, C)."""
    from sklearn.metrics import average_precision_score

    result = np.full(truth.shape[1], np.nan)
    for column in np.flatnonzero((truth == 1).any(0)):
        known = truth[:, column] >= 0
        result[column] = average_precision_score(truth[known, column], probabilities[known, column])
    return result


def mean_average_precision(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The mean of ``average_precisions`` over the classes that have a positive; NaN if none has."""
    return float(pd.Series(average_precisions(probabilities, truth)).mean())


def best_thresholds(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """For each class the threshold (C,) with the best F1: to be chosen on validation images and used on others. A class
    answers yes where its probability is at least its threshold; a class without a positive never does."""
    from sklearn.metrics import precision_recall_curve

    thresholds = np.full(truth.shape[1], np.inf)
    for column in np.flatnonzero((truth == 1).any(0)):
        known = truth[:, column] >= 0
        precision, recall, cuts = precision_recall_curve(truth[known, column], probabilities[known, column])
        thresholds[column] = cuts[(precision * recall / np.maximum(precision + recall, 1e-9))[:-1].argmax()]  # of F1
    return thresholds


def thresholded_scores(probabilities: np.ndarray, truth: np.ndarray, thresholds: np.ndarray) -> dict[str, float]:
    """At thresholds (C,): micro_f1, macro_f1 (of classes with a positive), hamming_loss, and that of no answer."""
    known, positive = truth >= 0, truth == 1
    chosen = (probabilities >= thresholds) & known
    return {
        "micro_f1": float(f1(chosen.ravel(), positive.ravel())),
        "macro_f1": float(pd.Series(f1(chosen, positive)[positive.any(0)]).mean()),
        "hamming_loss": float((chosen != positive)[known].mean()),
        "hamming_loss_of_nothing": float(positive[known].mean()),
    }


def f1(chosen: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """F1 of what was chosen, by column (C,); both (N, C) or (N,), 0 where nothing is positive."""
    return 2 * (chosen & positive).sum(0) / np.maximum(chosen.sum(0) + positive.sum(0), 1)


def top_k_recall(probabilities: np.ndarray, truth: np.ndarray, groups: Sequence[str] = (), ks=(3, 5)) -> pd.DataFrame:
    """Top-k recall as used on DeepFashion (Liu et al., 2016), in its three readings, which differ more than twofold.

    Columns scope, k, recall, labels (how many true labels it is a share of). For a *group* only its attributes are
    ranked; ``"pooled"`` sums these hits and labels over the groups; ``"all"`` ranks all attributes together."""
    scores, positive = np.where(truth >= 0, probabilities, -np.inf), truth == 1
    inside = {name: np.array(groups) == name for name in dict.fromkeys(groups)}
    rows = []
    for k in ks:
        found = [(name, k, *_hits(scores[:, columns], positive[:, columns], k)) for name, columns in inside.items()]
        pooled = [("pooled", k, *np.sum([row[2:] for row in found], axis=0))] if found else []
        rows += [*found, *pooled, ("all", k, *_hits(scores, positive, k))]
    table = pd.DataFrame(rows, columns=["scope", "k", "hits", "labels"])
    table.insert(2, "recall", table["hits"] / table["labels"].where(table["labels"] > 0))
    return table.drop(columns="hits")


def _hits(scores: np.ndarray, positive: np.ndarray, k: int) -> tuple[int, int]:
    k = min(k, scores.shape[1])
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return int(np.take_along_axis(positive, best, axis=1).sum()), int(positive.sum())
