"""Retrieval: which images ask and which answer, and what each is represented by."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ..data.catalogue import Catalogue, CatalogueError
from ..data.images import ImageData
from ..models import MultitaskModel
from ..tasks import Similarity
from .inference import infer


def query_and_gallery(catalogue: Catalogue, split="test", item="item") -> tuple[np.ndarray, np.ndarray, bool]:
    """Row numbers of the images that ask and of those that answer, and whether they are the same.

    For the test, a dataset's own query and gallery are used where it has them. Elsewhere every image of the split asks
    all others of it ("leave one out"), images of other items and of none among them. ``item`` is the column of items.
    Raises ``CatalogueError`` if none has two images in the split."""
    if split == "test" and {"query", "gallery"} <= set(catalogue.table["split"]):
        return catalogue.rows("query"), catalogue.rows("gallery"), False
    rows = catalogue.rows(split)
    if not catalogue.column(item)[rows].dropna().duplicated().any():
        raise CatalogueError(f"{catalogue.name}: no item has two images in split {split!r}; there is nothing to find")
    return rows, rows, True


def embed(
    model: MultitaskModel, data: ImageData, rows: np.ndarray, what="embedding", task="item", mirror=True
) -> np.ndarray:
    """Unit-length float32 (N, D) of some rows: the ``"embedding"`` of the model's Similarity task, or the pooled
    ``"features"`` of its backbone. ``mirror`` takes the mean direction of the image and its mirror image. Raises
    ``ValueError`` for another ``what``, and for an embedding of a model that has no such task."""
    if what not in ("embedding", "features"):
        raise ValueError(f"what is {what!r}; there are 'embedding' and 'features'")
    if what == "embedding" and not isinstance(model.tasks.get(task), Similarity):
        has = ", ".join(f"{type(t).__name__} {t.name}" for t in model.tasks.values())
        raise ValueError(f"the model has no Similarity task {task!r} (it has {has}); take its 'features'")

    def directions(views: list[Tensor]) -> dict[str, Tensor]:
        outputs = [model.features(view) if what == "features" else model(view)[task] for view in views]
        return {what: F.normalize(sum(F.normalize(output.float(), dim=1) for output in outputs), dim=1)}

    return infer(model, data, data.catalogue.rows(rows), directions, mirror, what="embed")[what]
