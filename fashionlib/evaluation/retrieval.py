"""Retrieval: which images ask and which answer, and what each is represented by."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import torch.nn.functional as F
from torch import Tensor

from ..data.catalogue import Catalogue, CatalogueError
from ..data.images import ImageData
from ..models import MultitaskModel
from ..tasks import Similarity
from .inference import infer


def query_and_gallery(catalogue: Catalogue, split: str = "test", seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the images that ask and of those that answer, in the order of the table.

    For the test, a dataset's own query and gallery are used where it has them. Elsewhere the images of each item are
    divided, half (rounded down) to the query, by the seed and their names alone; see ``left_out`` for those that cannot
    be. Raises ``CatalogueError`` if no item has two images in the split.
    """
    if _official(catalogue, split):
        return catalogue.rows("query"), catalogue.rows("gallery")
    items = catalogue.column("item")[catalogue.rows(split)].dropna()
    items = items[items.duplicated(keep=False)]
    if items.empty:
        raise CatalogueError(f"{catalogue.name}: no item has two images in split {split!r}; there is nothing to find")
    names = catalogue.table["image"][items.index]
    lots = [hashlib.sha256(f"{seed} {name}".encode()).hexdigest() for name in names]
    images = pd.DataFrame({"item": items, "lot": lots}).sort_values(["item", "lot"])
    groups = images.groupby("item")["lot"]
    asks = groups.cumcount() < groups.transform("size") // 2
    return np.sort(images.index[asks]), np.sort(images.index[~asks])


def left_out(catalogue: Catalogue, split: str = "test") -> dict[str, int]:
    """What ``query_and_gallery`` makes of a split: its images, and those that take no part because their item is not
    known, or they are the only one of it there. With an official query and gallery every image takes part."""
    if _official(catalogue, split):
        images = int(catalogue.table["split"].isin(["query", "gallery"]).sum())
        return {"images": images, "no_item": 0, "only_image_of_its_item": 0}
    items = catalogue.column("item")[catalogue.rows(split)]
    lone = ~items.dropna().duplicated(keep=False)
    return {"images": len(items), "no_item": int(items.isna().sum()), "only_image_of_its_item": int(lone.sum())}


def _official(catalogue: Catalogue, split: str) -> bool:
    return split == "test" and {"query", "gallery"} <= set(catalogue.table["split"])


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

    return infer(model, data, rows, directions, mirror, what="embed")[what]
