"""Metrics of classification as plain functions on arrays."""

from __future__ import annotations

import numpy as np


def top_k_accuracy(probabilities: np.ndarray, truth: np.ndarray, k: int) -> float:
    """Share of rows whose true class is among the k most probable ones; probabilities (N, C), truth (N,)."""
    if len(truth) == 0:
        return float("nan")
    k = min(k, probabilities.shape[1])
    best = np.argpartition(-probabilities, k - 1, axis=1)[:, :k]
    return float((best == truth[:, None]).any(1).mean())


def macro_f1(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean F1 over the classes that occur in truth or prediction (scikit-learn's definition)."""
    from sklearn.metrics import f1_score

    return float(f1_score(truth, predicted, average="macro", zero_division=0)) if len(truth) else float("nan")


def classification_scores(probabilities: np.ndarray, predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Accuracy, macro-F1 and top-3 accuracy; truth (N,) holds class numbers, or a negative number for a class that
    cannot be predicted and so counts as an error."""
    return {
        "accuracy": float((predicted == truth).mean()) if len(truth) else float("nan"),
        "macro_f1": macro_f1(predicted, truth),
        "top3_accuracy": top_k_accuracy(probabilities, truth, 3),
    }


def calibration_curve(
    confidence: np.ndarray, correct: np.ndarray, bins: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Equal-width reliability bins: mean confidence, accuracy and share of rows of each non-empty bin, and the
    expected calibration error (Guo et al., 2017)."""
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    share = np.bincount(number, minlength=bins) / len(number)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(number, confidence, bins) / np.bincount(number, minlength=bins)
        accuracy = np.bincount(number, correct, bins) / np.bincount(number, minlength=bins)
    filled = share > 0
    error = float((share * np.abs(mean - accuracy))[filled].sum())
    return mean[filled], accuracy[filled], share[filled], error
