"""Tagger: a trained model applied to new photos, in one process, without the data it was trained on."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from ..data.decoding import BadImage
from ..machine.files import file_sha256
from ..machine.progress import progress
from ..models import MultitaskModel
from ..tasks import MultiLabel, Similarity, Task
from ..tasks.base import CHECKED
from ..training.checkpoints import load_model
from ..training.settings import Count
from .photos import decoded, named_photos

TEXT, NUMBER = pa.string(), pa.float32()
# the columns of the tables, for parquet: without a schema, a part in which no photo could be read has other types
TAGS = pa.schema(
    [("image", TEXT), ("task", TEXT), ("label", TEXT), ("confidence", NUMBER)]
    + [("top", pa.list_(TEXT)), ("top_confidence", pa.list_(NUMBER)), ("error", TEXT)]
)
EMBEDDINGS = pa.schema([("image", TEXT), ("embedding", pa.list_(NUMBER)), ("error", TEXT)])
Tables = tuple[pd.DataFrame | None, pd.DataFrame | None]  # tags and embeddings, those that are asked for


@dataclass(frozen=True, config=CHECKED)
class Rules:
    """What is said of a photo: the ``top`` most probable classes, and of several that may apply, those of a probability
    from ``threshold`` on. Raises ``ValueError`` for what makes no sense."""

    top: Count = 3
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5


def model_id(path: str | Path) -> str:
    """What a ``model.pth`` is known by: the first 16 hex digits of its SHA-256. Raises ``FileNotFoundError``."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"model: there is no file {path}")
    return file_sha256(path)[:16]


class Tagger:
    """Tags and embeddings of photos (see ``photos.named_photos``): ``Tagger.load("model.pth").tag("photos/")``. They
    are resized as those that the model was trained on, and not mirrored. One that cannot be used is a row with an
    ``error``; the others go on.

    ``model_id`` is the first 16 hex digits of the SHA-256 of ``model.pth``; ``represents`` says what ``embed`` gives,
    of ``dimension`` values: the ``"embedding"`` of the model's (first) Similarity task, or the pooled ``"features"`` of
    its backbone if it has none."""

    def __init__(self, model: MultitaskModel, model_id: str, device: str | torch.device | None = None):
        self.model_id = model_id
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = model.to(self.device).eval()
        self.network = folded(self.model)  # that features are computed with
        self.tasks = [task for task in model.tasks.values() if task.labels and task.evaluated]
        self._similarity = next((task for task in model.tasks.values() if isinstance(task, Similarity)), None)
        self.represents = "embedding" if self._similarity else "features"
        self.dimension = self._similarity.dimension if self._similarity else model.feature_dimension

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device | None = None) -> Self:
        """The tagger of a ``model.pth``, on a GPU if there is one. Raises as ``checkpoints.load_model``."""
        return cls(load_model(path), model_id(path), device)

    def tag(self, photos, top: int = 3, batch_size: int = 64, threshold: float = 0.5) -> pd.DataFrame:
        """One row per photo and label, in the order of the photos: ``label`` is the class and ``confidence`` its
        calibrated probability; ``top`` and ``top_confidence`` are lists of the most probable classes. Each level of a
        Hierarchy is a label: that of the most probable path. For a MultiLabel task, ``label`` joins all classes from
        ``threshold`` on with ``;``, and ``confidence`` is the lowest among them; if there is none, ``""`` and 1 minus
        the highest. Raises ``ValueError`` for a model without labels, and as ``photos.named_photos``."""
        parts = self.stream(photos, Rules(top=top, threshold=threshold), False, batch_size, "tag")
        return pd.concat([_frame([], TAGS), *(tags for tags, _ in parts)], ignore_index=True)

    def embed(self, photos, batch_size: int = 64) -> pd.DataFrame:
        """One row per photo: ``image``, ``embedding`` (float32, unit length), ``error``. Raises as ``tag``."""
        parts = self.stream(photos, None, True, batch_size, "embed")
        return pd.concat([_frame([], EMBEDDINGS), *(vectors for _, vectors in parts)], ignore_index=True)

    def stream(self, photos, rules: Rules | None, embeddings=False, batch_size=64, what="") -> Iterator[Tables]:
        """The tables of ``tag``, if there are ``rules``, and of ``embed``, with ``embeddings``, for ``batch_size``
        photos at a time, from one pass: for more than fit into memory. ``what`` names a progress bar."""
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size is a whole number from 1 on, not {batch_size!r}")
        if not self.tasks and not embeddings:
            raise ValueError(f"the model has no labels, but {', '.join(self.model.tasks)}; use embed, or --embeddings")
        named, total = named_photos(photos)
        self.model.settle()
        self.network.compute_in(self.model.arithmetic)
        stream = decoded(named, self.model.size, batch_size, ahead=self.device.type != "cpu")
        if what:
            stream = iter(progress(stream, total=total, what=what, unit="img"))
        return (self._tables(batch, rules, embeddings) for batch in iter(lambda: list(islice(stream, batch_size)), []))

    def _tables(self, batch: list[tuple[str, np.ndarray | BadImage]], rules: Rules | None, embeddings: bool) -> Tables:
        """Both tables of a batch, from one pass; without ``rules`` none of tags."""
        pixels = [found for _, found in batch if not isinstance(found, BadImage)]
        answers, directions = [], []
        with torch.inference_mode():
            if pixels:
                features = self.network.features(torch.from_numpy(np.stack(pixels)).to(self.device))
                outputs = self.model.answers(features)
                finite = torch.stack([of.isfinite().all(1) for of in (features, *outputs.values())]).all(0).tolist()
                direction = outputs[self._similarity.name] if self._similarity else features
                directions = F.normalize(direction.float(), dim=1).cpu().numpy()
            for task in self.tasks if pixels and rules else ():
                calibrated = task.activate(outputs[task.name].float() / self.model.temperatures.get(task.name, 1.0))
                answers += _answers(task, calibrated.cpu().numpy(), rules)
        tags, vectors, good = [], [], 0
        for name, found in batch:
            bad = isinstance(found, BadImage)
            if bad or not finite[good]:
                why = str(found) if bad else f"{name}: the network's answer is not finite; its weights are damaged"
                tags.append((name, None, None, None, None, None, why))
                vectors.append((name, None, why))
            else:
                tags += [(name, *answer[good], None) for answer in answers]
                vectors.append((name, directions[good], None))
            good += not bad
        return _frame(tags, TAGS) if rules else None, _frame(vectors, EMBEDDINGS) if embeddings else None


def folded(model: MultitaskModel) -> MultitaskModel:
    """A copy in which each batch norm is multiplied into the convolution before it, a seventh faster, to predict with;
    or the model itself, where the features of an image would be others then."""
    found = deepcopy(model)
    for module in list(found.body.modules()):
        for (first, conv), (second, norm) in pairwise(list(module.named_children())):
            pair = isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            if pair and conv.out_channels == norm.num_features:
                setattr(module, first, fuse_conv_bn_eval(conv, norm))
                setattr(module, second, getattr(norm, "act", nn.Identity()))
    width, height = model.size
    image = torch.linspace(0, 255, 3 * width * height, device=model.mean.device).view(1, height, width, 3).byte()
    with torch.no_grad():
        return found if torch.allclose(found.features(image), model.features(image), rtol=1e-3, atol=1e-3) else model


def _answers(task: Task, activations: np.ndarray, rules: Rules) -> Iterator[list[tuple]]:
    """For each label of a task, B tuples (label name, class, confidence, top, top_confidence)."""
    for name, predicted in task.predict(activations).items():
        classes, p = np.array(task.labels[name], dtype=object), predicted.probabilities
        order = np.argsort(-p, axis=1, kind="stable")  # (B, C), the most probable first
        ranked = np.take_along_axis(p, order, axis=1)
        if isinstance(task, MultiLabel):
            counts = (ranked >= rules.threshold).sum(1)
            label = [";".join(classes[row[:n]]) for row, n in zip(order, counts, strict=True)]
            confidence = np.where(counts > 0, ranked[np.arange(len(p)), np.maximum(counts - 1, 0)], 1 - ranked[:, 0])
        else:
            label = classes[predicted.index].tolist()
            confidence = p[np.arange(len(p)), predicted.index]
        best = classes[order[:, : rules.top]].tolist()
        # in double precision, rounded: 0.98 is not to be read as 0.9800000190734863
        listed = ranked[:, : rules.top].astype(np.float64).round(6).tolist()
        yield [(name, *answer) for answer in zip(label, confidence.tolist(), best, listed, strict=True)]


def _frame(rows: Sequence[tuple], schema: pa.Schema) -> pd.DataFrame:
    """The same types for every batch, whatever is missing in it."""
    kinds = {TEXT: "str", NUMBER: "float32"}
    return pd.DataFrame(rows, columns=schema.names).astype({f.name: kinds.get(f.type, object) for f in schema})


def tag_table(tags: pd.DataFrame) -> pd.DataFrame:
    """One row per readable photo, from the rows of ``Tagger.tag``: ``image``, and for each label its class and its
    confidence, as ``<label>`` and ``<label>_confidence``. Raises ``ValueError`` if two columns would have one name."""
    good = tags[tags["error"].isna()]
    columns = ["image", *(column for task in good["task"].unique() for column in (task, f"{task}_confidence"))]
    if twice := sorted({column for column in columns if columns.count(column) > 1}):
        raise ValueError(f"tags: two columns of the table would be called {', '.join(twice)}; rename that label")
    turn = good.groupby(["image", "task"]).cumcount()  # of a photo that was given twice
    good = good.set_index(pd.MultiIndex.from_arrays([good["image"], turn]))
    wide = pd.DataFrame(index=good.index.unique())
    for task, part in good.groupby("task", sort=False):
        wide[task], wide[f"{task}_confidence"] = part["label"], part["confidence"]
    wide.insert(0, "image", wide.index.get_level_values(0))
    return wide.reset_index(drop=True)
