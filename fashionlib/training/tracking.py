"""What is said of a run while it trains: a row an epoch, a line of a log, TensorBoard with some predictions."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ..data.images import ImageData
from ..evaluation.predict import Predictions, joint_metrics


class Tracker:
    """Writes the events of one run; after a crash the steps that are run again replace the old ones."""

    def __init__(self, folder: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=step + 1)  # the event of step itself stays

    def epoch(self, row: dict, step: int) -> None:
        """The numbers of a row of the history."""
        for name, value in row.items():
            if isinstance(value, int | float) and np.isfinite(value):
                self.writer.add_scalar(name if "/" in name else f"run/{name}", value, step)
        self.writer.flush()

    def show(self, data: ImageData, predictions: Predictions, step: int, n: int = 16) -> None:
        """The first images, and what is said of them, in a block of code. What fails costs a warning, never a run."""
        try:
            lines = [f"    image {k}:" for k in range(min(n, len(predictions.rows)))]
            for label, (predicted, truth) in predictions.labels().items():
                names = [*predictions.classes(label), "a class unseen in training", "not known"]  # the last: -2, -1
                for k in range(len(lines)):
                    wrong = "" if predicted.index[k] == truth[k] else f" (true: {names[truth[k]]})"
                    lines[k] += f"  {label} {names[predicted.index[k]]}{wrong}"
            self.writer.add_images("predictions", data.fetch(predictions.rows[:n]), step, dataformats="NHWC")
            self.writer.add_text("predictions", "\n".join(lines), step)
        except Exception as error:
            warnings.warn(f"TensorBoard: no predictions ({type(error).__name__}: {error})", stacklevel=2)


def validation_row(*predictions: Predictions) -> dict[str, float]:
    """Every metric of every evaluated task, over one or several catalogues, as ``label/metric``; and ``score``: the
    mean of the first of each label (accuracy, mean average precision or recall at 1)."""
    metrics = joint_metrics(*predictions)
    row = {f"{label}/{name}": value for label, values in metrics.items() for name, value in values.items()}
    first = pd.Series([next(iter(values.values())) for values in metrics.values()], dtype=float)
    return {**row, "score": float(first.mean())}


def epoch_line(row: dict, epochs: int, seconds: float) -> str:
    """One line of a log."""
    loss = sum(value for name, value in row.items() if name.startswith("loss/"))
    parts = [f"epoch {row['epoch']:>2}/{epochs}", f"loss {loss:.3f}"]
    if "score" in row:
        parts.append(f"val {row['score']:.4f}")
        first = ("/accuracy", "/map", "/recall_at_1")
        parts += [f"{name.split('/')[0]} {value:.3f}" for name, value in row.items() if name.endswith(first)]
    return "  ".join([*parts, f"{row['images_per_second']:.0f} img/s", f"{seconds / 60:.1f} min"])
