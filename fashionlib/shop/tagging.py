"""Tagger: a trained model applied to new photos, in one process, without the data it was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
import torch.nn.functional as F

from ..training.checkpoints import load_model, model_id
from ..data.decoding import BadImage
from ..machine.hardware import autocast, memory_format, resolve_precision
from ..models import MultitaskModel
from .photos import decoded, named_photos
from ..machine.progress import progress
from ..tasks import MultiLabel, Similarity, Task

# the columns of the tables, for parquet: without a schema, a part in which no photo could be read has other types
TAGS = pa.schema(
    [
        ("image", pa.string()),
        ("task", pa.string()),
        ("label", pa.string()),
        ("confidence", pa.float32()),
        ("top", pa.list_(pa.string())),
        ("top_confidence", pa.list_(pa.float32())),
        ("error", pa.string()),
    ]
)
EMBEDDINGS = pa.schema([("image", pa.string()), ("embedding", pa.list_(pa.float32())), ("error", pa.string())])


class Tagger:
    """Tags and embeddings of photos. ``Tagger.load("model.pth").tag("photos/")`` is all that is needed.

    What counts as a photo is said in ``photos.named_photos``: a folder, paths, PIL images, arrays, bytes, or (name,
    photo) pairs, also from a generator. They are resized as those that the model was trained on, and not mirrored.
    One that cannot be used is a row with an ``error``; the others go on. At most two batches are held at a time.

    Attributes
    ----------
    model: the ``MultitaskModel``, in evaluation mode on its device.
    model_id: the first 16 hex digits of the SHA-256 of its ``model.pth``.
    represents: what ``embed`` gives: the ``"embedding"`` of the model's (first) Similarity task, or the pooled
        ``"features"`` of its backbone if it has none.
    dimension: of that embedding.
    """

    def __init__(self, model: MultitaskModel, model_id: str, device=None, precision: str = "auto"):
        self.model_id = model_id
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.dtype = resolve_precision(precision, self.device)
        self.model = model.to(self.device, memory_format=memory_format(self.dtype, self.device)).eval()
        self.tasks = [task for task in model.tasks.values() if task.labels and task.evaluated]
        self._similarity = next((task for task in model.tasks.values() if isinstance(task, Similarity)), None)
        self.represents = "embedding" if self._similarity else "features"
        self.dimension = self._similarity.dimension if self._similarity else model.feature_dimension

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device | None = None, precision: str = "auto") -> Tagger:
        """The tagger of a ``model.pth``, on a GPU if there is one. Raises as ``checkpoints.load_model``, and
        ``ValueError`` for an unknown precision (``"auto"``, ``"bf16"``, ``"fp32"``)."""
        return cls(load_model(path), model_id(path), device, precision)

    def tag(self, photos, top: int = 3, batch_size: int = 128, threshold: float = 0.5) -> pd.DataFrame:
        """One row per photo and label, in the order of the photos; of a Hierarchy, each level is a label.

        ``label`` is the class and ``confidence`` its calibrated probability; ``top`` and ``top_confidence`` are lists
        of the most probable classes. A Hierarchy's labels are those of the most probable path, so that they fit
        together; the most probable class of one level by itself may be another. For a MultiLabel task, ``label`` joins
        all classes from ``threshold`` on with ``;``, the most probable first, and ``confidence`` is the lowest among
        them; if there is none, ``""`` and 1 minus the highest.

        A photo that cannot be read is one row with its ``error``, and nothing else.

        Raises ``ValueError`` for a model without labels, and as ``photos.named_photos``.
        """
        rules = Rules(top, threshold)
        self._need_labels()
        batches = self._batches(photos, batch_size, "tag")
        return pd.concat([_tag_frame([], []), *(self._tables(b, rules, False)[0] for b in batches)], ignore_index=True)

    def embed(self, photos, batch_size: int = 128) -> pd.DataFrame:
        """One row per photo: ``image``, ``embedding`` (float32, ``dimension`` values, unit length) and ``error``.

        Raises as ``photos.named_photos``.
        """
        batches = self._batches(photos, batch_size, "embed")
        empty = _embedding_frame([], [])
        return pd.concat([empty, *(self._tables(batch, None, True)[1] for batch in batches)], ignore_index=True)

    def stream(
        self, photos, embeddings: bool = False, top: int = 3, batch_size: int = 128, threshold: float = 0.5
    ) -> Iterator[tuple[pd.DataFrame, pd.DataFrame | None]]:
        """The tables of ``tag`` and, with ``embeddings``, of ``embed``, for ``batch_size`` photos at a time: for more
        photos than fit into memory. Both come from one pass through the network.

        Of a model without labels the tags are rows of errors only; without ``embeddings`` it is refused.
        """
        rules = Rules(top, threshold)
        if not embeddings:
            self._need_labels()
        batches = self._batches(photos, batch_size)  # what is wrong with the photos as a whole is said now
        return (self._tables(batch, rules, embeddings) for batch in batches)

    def _batches(self, photos, batch_size: int, what: str = "") -> Iterator[list[tuple[str, np.ndarray | BadImage]]]:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        named, total = named_photos(photos)
        stream = decoded(named, self.model.size, batch_size, ahead=self.device.type != "cpu")
        if what:
            stream = iter(progress(stream, total=total, what=what, unit="img"))
        return iter(lambda: list(islice(stream, batch_size)), [])

    def _tables(
        self, batch: list[tuple[str, np.ndarray | BadImage]], rules: Rules | None, embeddings: bool
    ) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
        names = [(name, str(found) if isinstance(found, BadImage) else None) for name, found in batch]
        pixels = [found for _, found in batch if not isinstance(found, BadImage)]
        answers, vectors = [], []
        if pixels:
            activations, vectors = self._forward(np.stack(pixels), rules is not None, embeddings)
            answers = [a for task in self.tasks if rules for a in _answers(task, activations[task.name], rules)]
        tags = _tag_frame(names, answers) if rules else None
        return tags, _embedding_frame(names, vectors) if embeddings else None

    def _forward(
        self, pixels: np.ndarray, tags: bool, embeddings: bool
    ) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """Calibrated activations of each task, and embeddings (B, D), of pixels (B, H, W, 3), in one pass."""
        images = torch.from_numpy(pixels).to(self.device)
        with torch.inference_mode(), autocast(self.device, self.dtype):
            features = self.model.features(images)
            outputs = self.model.answers(features) if tags or self._similarity else {}
            calibrated = {
                task.name: task.activate(outputs[task.name].float() / self.model.temperatures.get(task.name, 1.0))
                for task in self.tasks
                if tags
            }
            direction = outputs[self._similarity.name] if embeddings and self._similarity else features
            vectors = F.normalize(direction.float(), dim=1)
        found = {name: p.cpu().numpy() for name, p in calibrated.items()}
        return found, vectors.cpu().numpy() if embeddings else None

    def _need_labels(self) -> None:
        if not self.tasks:
            raise ValueError(f"the model has no task with labels (it has {', '.join(self.model.tasks)}); use embed")


@dataclass(frozen=True)
class Rules:
    """How many of the most probable classes are listed, and from which probability on several apply."""

    top: int
    threshold: float

    def __post_init__(self):
        if self.top < 1:
            raise ValueError(f"top must be at least 1, not {self.top}")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold is a probability between 0 and 1, not {self.threshold}")


@dataclass(frozen=True)
class Answer:
    """What is said of a batch for one label: lists of B values."""

    task: str
    label: list[str]
    confidence: list[float]
    top: list[list[str]]
    top_confidence: list[list[float]]


def _answers(task: Task, activations: np.ndarray, rules: Rules) -> Iterator[Answer]:
    """The answer for each label of a task; activations (B, ...), calibrated."""
    for name, predicted in task.predict(activations).items():
        classes, p = np.array(task.labels[name], dtype=object), predicted.probabilities
        order = np.argsort(-p, axis=1, kind="stable")  # (B, C), the most probable first
        ranked = np.take_along_axis(p, order, axis=1)
        if isinstance(task, MultiLabel):
            counts = (ranked >= rules.threshold).sum(1)
            label = [";".join(classes[row[:n]]) for row, n in zip(order, counts, strict=True)]
            lowest = ranked[np.arange(len(p)), np.maximum(counts - 1, 0)]
            confidence = np.where(counts > 0, lowest, 1 - ranked[:, 0])
        else:
            label = classes[predicted.index].tolist()
            confidence = p[np.arange(len(p)), predicted.index]
        best, probabilities = classes[order[:, : rules.top]], ranked[:, : rules.top]
        # in double precision, rounded: 0.98 is not to be read as 0.9800000190734863
        listed = probabilities.astype(np.float64).round(6)
        yield Answer(name, label, confidence.tolist(), best.tolist(), listed.tolist())


def _tag_frame(names: list[tuple[str, str | None]], answers: Sequence[Answer]) -> pd.DataFrame:
    """The rows of a batch: names with their errors, and the answers for those that have none, in the same order."""
    rows, good = [], 0
    for name, error in names:
        if error is None:
            rows += [
                (name, a.task, a.label[good], a.confidence[good], a.top[good], a.top_confidence[good], None)
                for a in answers
            ]
            good += 1
        else:
            rows.append((name, None, None, None, None, None, error))
    return _frame(TAGS, zip(*rows, strict=True) if rows else [[]] * len(TAGS))


def _embedding_frame(names: list[tuple[str, str | None]], vectors: Sequence[np.ndarray]) -> pd.DataFrame:
    found = iter(vectors)
    rows = [(name, next(found) if error is None else None, error) for name, error in names]
    return _frame(EMBEDDINGS, zip(*rows, strict=True) if rows else [[]] * len(EMBEDDINGS))


def _frame(schema: pa.Schema, columns: Iterable[Sequence]) -> pd.DataFrame:
    """The same types for every batch, whatever is missing in it."""
    kinds = {pa.string(): "str", pa.float32(): "float32"}
    return pd.DataFrame(
        {
            field.name: pd.Series(list(values), dtype=kinds.get(field.type, object))
            for field, values in zip(schema, columns, strict=True)
        }
    )


def tag_table(tags: pd.DataFrame) -> pd.DataFrame:
    """One row per photo that could be read, from the rows of ``Tagger.tag``: ``image``, and for each label its class
    and its confidence, as ``<label>`` and ``<label>_confidence``. A photo that was given twice has two rows."""
    good = tags[tags["error"].isna()]
    names = list(good["task"].unique())
    good = good.assign(time=good.groupby(["image", "task"]).cumcount())
    keys = pd.MultiIndex.from_frame(good[["image", "time"]].drop_duplicates())
    by_photo = good.set_index(["image", "time"])
    wide = pd.DataFrame(index=keys)
    for name in names:
        part = by_photo[by_photo["task"] == name]
        wide[name], wide[f"{name}_confidence"] = part["label"], part["confidence"]
    return wide.reset_index().drop(columns="time")
