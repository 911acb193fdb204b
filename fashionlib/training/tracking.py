"""TensorBoard: losses, metrics, learning rate, and a montage of predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..evaluation.predict import predict
from ..data.images import ImageData
from ..models import MultitaskModel


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

    def montage(self, model: MultitaskModel, data: ImageData, step: int, n: int = 16) -> None:
        """The first validation images with what the model says of them."""
        import matplotlib.pyplot as plt

        from study.figures.training import prediction_montage

        predictions = predict(model, data, data.catalogue.rows("val")[:n])
        if predictions.labels():
            figure = prediction_montage(data, predictions, n=n)
            self.writer.add_figure("predictions", figure, step)
            plt.close(figure)

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()
