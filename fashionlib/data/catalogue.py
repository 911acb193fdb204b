"""Catalogue: images, labels, splits and item ids - the one data structure of the library."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd

from ..tasks import Task

SPLITS = ("train", "val", "test", "query", "gallery")
REJECTED = ("source", "row", "image", "reason")


class CatalogueError(ValueError):
    """What a catalogue holds does not fit together; the message names file, row or column."""


class ImageSource(Protocol):
    """Where a catalogue's images are."""

    fingerprint: str

    def read(self, location: str) -> bytes | np.ndarray:
        """The encoded file at a location, or its pixels (H, W, 3) uint8. Raises ``BadImage``."""


class Catalogue:
    """One row per image.

    Parameters
    ----------
    table: columns ``image`` (where its bytes are), ``split``, one column for each label, and any other.
    tasks: what can be asked of these images; their classes are learned from the training rows.
    images: reads the bytes of a row.
    name: of the dataset, in messages and figures.
    rejected: rows that are not in ``table``, each with its reason.
    facts: anything worth reporting beside a result (split, seed, crop, ...).

    Raises ``CatalogueError`` for a missing column, an unknown split, an empty training split, a row that names no image
    or one that another row names.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        tasks: Sequence[Task],
        images: ImageSource,
        name: str,
        rejected: pd.DataFrame | None = None,
        facts: dict | None = None,
    ):
        self.table = table.reset_index(drop=True)
        self.images, self.name, self.facts = images, name, dict(facts or {})
        self.rejected = pd.DataFrame(columns=REJECTED) if rejected is None else rejected.reset_index(drop=True)
        self._check(tasks)
        self._tasks = {task.name: task for task in tasks}

    def _check(self, tasks: Sequence[Task]) -> None:
        names = [task.name for task in tasks]
        if len(set(names)) < len(names):
            raise CatalogueError(f"{self.name}: two tasks have the same name, among {', '.join(sorted(names))}")
        for column in ["image", "split", *(c for task in tasks for c in task.columns)]:
            if column not in self.table:
                there = ", ".join(map(str, self.table.columns))
                raise CatalogueError(f"{self.name}: column {column!r} is missing; the table has {there}")
        nowhere = self.table["image"].isna()
        if nowhere.any():
            raise CatalogueError(f"{self.name}: row {int(nowhere.idxmax())} names no image")
        strange = ~self.table["split"].isin(SPLITS)
        if strange.any():
            row = int(strange.idxmax())
            raise CatalogueError(
                f"{self.name}: row {row} ({self.table.at[row, 'image']}) has split {self.table.at[row, 'split']!r}, "
                f"which is not one of {', '.join(SPLITS)}"
            )
        if not (self.table["split"] == "train").any():
            raise CatalogueError(f"{self.name}: the training split is empty; nothing can be learned from it")
        twice = self.table["image"].duplicated()
        if twice.any():
            row = int(twice.idxmax())
            raise CatalogueError(f"{self.name}: row {row} repeats the image {self.table.at[row, 'image']}")

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        parts = ", ".join(f"{n:,} {split}" for split, n in self.table["split"].value_counts().items())
        return f"Catalogue {self.name!r}: {len(self):,} images ({parts}); tasks {', '.join(self._tasks)}"

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """Every task by name, with the classes of the training split."""
        train = self.table[self.table["split"] == "train"]
        return {name: task.learn(train) for name, task in self._tasks.items()}

    def select(self, *names: str) -> list[Task]:
        """The tasks of these names. Raises ``CatalogueError`` for an unknown one, or one that has nothing to learn."""
        for name in names:
            if name not in self.tasks:
                raise CatalogueError(f"{self.name}: no task {name!r}; there are {', '.join(self.tasks)}")
            for label, classes in self.tasks[name].labels.items():
                if not classes:
                    raise CatalogueError(f"{self.name}: no training image has a label in column {label!r}")
        return [self.tasks[name] for name in names]

    def task(self, name: str, **changes) -> Task:
        """One task with some of its fields changed, such as ``loss_function``; what it takes from the training split
        is learned again. Raises as ``select`` does, also if the changes leave no class to learn, and ``TypeError`` for
        a field that the task does not have."""
        self.select(name)
        train = self.table[self.table["split"] == "train"]
        task = replace(self._tasks[name], **changes).learn(train)
        for label, classes in task.labels.items():
            if not classes:
                raise CatalogueError(f"{self.name}: with {changes} no class is left to learn in column {label!r}")
        return task

    def only(self, *names: str) -> Catalogue:
        """The same images with some of their tasks: what the others say of them does not count. Raises as ``select``
        does."""
        self.select(*names)
        return self._copy(tasks=[self._tasks[name] for name in names])

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of a split; raises ``CatalogueError`` if it is empty."""
        rows = np.flatnonzero(self.table["split"] == split)
        if len(rows) == 0:
            there = ", ".join(self.table["split"].unique())
            raise CatalogueError(f"{self.name}: split {split!r} is empty; there are images in {there}")
        return rows

    def read(self, row: int) -> bytes | np.ndarray:
        """What the image source holds for a row."""
        return self.images.read(self.table.at[row, "image"])

    def with_split(self, assignment: Sequence[str], **facts) -> Catalogue:
        """The same images under another split; classes are learned again."""
        table = self.table.assign(split=np.asarray(assignment, dtype=object))
        return self._copy(table=table, facts={**self.facts, **facts})

    def with_labels(self, column: str, rows: Sequence[int], values, **facts) -> Catalogue:
        """The same images with other values of a column in some rows; classes are learned again."""
        table = self.table.copy()
        table.loc[rows, column] = values
        return self._copy(table=table, facts={**self.facts, **facts})

    def without(self, rows: Sequence[int], reasons: Sequence[str], source: str) -> Catalogue:
        """A copy without some rows, which are listed with their reasons in ``rejected``."""
        gone = pd.DataFrame(
            {"source": source, "row": rows, "image": self.table.loc[rows, "image"].to_numpy(), "reason": reasons},
            columns=REJECTED,
        )
        return self._copy(
            table=self.table.drop(index=rows),
            rejected=pd.concat([self.rejected, gone], ignore_index=True) if len(self.rejected) else gone,
        )

    def sample(self, n: int, seed: int = 0) -> Catalogue:
        """About n rows, drawn from every split in proportion; for trying things out. The rest is left aside, not
        rejected, and ``facts`` says so."""
        if n >= len(self):
            return self
        parts = self.table.groupby("split", sort=True)
        rows = parts.sample(frac=n / len(self), random_state=seed).index.sort_values()
        return self._copy(table=self.table.loc[rows], facts={**self.facts, "sample": f"{len(rows)} of {len(self)}"})

    def _copy(self, **changes) -> Catalogue:
        kept = {"table": self.table, "rejected": self.rejected, "facts": self.facts}
        return Catalogue(**{"tasks": list(self._tasks.values()), **kept, **changes}, images=self.images, name=self.name)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the table and of the images' own fingerprint: equal if and only if the data is."""
        digest = hashlib.sha256(self.images.fingerprint.encode())
        digest.update(table_bytes(self.table))
        return digest.hexdigest()

    @cached_property
    def image_fingerprint(self) -> str:
        """SHA-256 of which images there are, whatever their labels and split. Raises ``CatalogueError`` for the name of
        an image that is not UTF-8."""
        digest = hashlib.sha256(self.images.fingerprint.encode())
        try:
            digest.update("\n".join(self.table["image"]).encode())
        except UnicodeEncodeError:
            raise CatalogueError(f"{self.name}: {_not_utf8(self.table['image'])}") from None
        return digest.hexdigest()

    def summary(self) -> pd.DataFrame:
        """One row per label: kind of task, classes, labelled, missing and unseen images, the largest class's share."""
        rows = []
        for task in self.tasks.values():
            for column in task.columns:
                values = self.table[column]
                classes = task.labels.get(column, ())
                single = values.value_counts(normalize=True) if column != task.name or classes else None
                is_multi = type(task).__name__ == "MultiLabel"
                rows.append(
                    {
                        "label": column,
                        "task": f"{type(task).__name__} {task.name}",
                        "evaluated": task.evaluated,
                        "classes": len(classes) or values.nunique(),
                        "labelled": int(values.notna().sum()),
                        "missing": int(values.isna().sum()),
                        "unseen": 0 if is_multi or not classes else int((~values.dropna().isin(classes)).sum()),
                        "largest_share": float("nan") if single is None or is_multi else float(single.iloc[0]),
                    }
                )
        return pd.DataFrame(rows)


def _not_utf8(names: pd.Series) -> str:
    """Says which of some names cannot be written as UTF-8."""
    row, name = next((k, ascii(n)) for k, n in names.items() if n.encode(errors="ignore").decode() != n)
    return f"the name of the image in row {row}, {name}, is not UTF-8; rename the file"


def table_bytes(table: pd.DataFrame) -> bytes:
    """What a fingerprint is made of: the table as CSV, and which cells are empty text, since CSV writes a missing value
    the same way."""
    rows, columns = np.nonzero((table == "").to_numpy())
    empty = "".join(f"{row} {table.columns[column]}\n" for row, column in zip(rows, columns, strict=True))
    return table.to_csv(index=False).encode() + empty.encode()
