"""Metrics of classification as plain functions on arrays."""

import numpy as np
import pandas as pd


def in_top_k(probabilities: np.ndarray, truth: np.ndarray, k: int) -> np.ndarray:
    """Whether the true class is among the k most probable ones (N,); probabilities (N, C), truth (N,)."""
    k = min(k, probabilities.shape[1])
    return (np.argpartition(-probabilities, k - 1, axis=1)[:, :k] == truth[:, None]).any(1)


def classification_scores(probabilities: np.ndarray, predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Accuracy, macro-F1 (mean over the classes that occur in truth or prediction) and top-3 accuracy; truth (N,) holds
    class numbers, or one negative number for all classes that cannot be predicted. NaN without a row."""
    from sklearn.metrics import f1_score

    if len(truth) == 0:
        return dict.fromkeys(("accuracy", "macro_f1", "top3_accuracy"), float("nan"))
    return {
        "accuracy": float((predicted == truth).mean()),
        "macro_f1": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "top3_accuracy": float(in_top_k(probabilities, truth, 3).mean()),
    }


def calibration_curve(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Ten reliability bins of equal width: mean confidence, accuracy and share of rows of each non-empty bin, and the
    expected calibration error (Guo et al., 2017)."""
    number = np.minimum((np.asarray(confidence) * 10).astype(int), 9)
    groups = pd.DataFrame({"confidence": confidence, "accuracy": np.asarray(correct, float)}).groupby(number)
    mean, accuracy = groups.mean().to_numpy().T
    share = groups.size().to_numpy() / len(number)
    return mean, accuracy, share, float((share * np.abs(mean - accuracy)).sum()) if len(number) else float("nan")
