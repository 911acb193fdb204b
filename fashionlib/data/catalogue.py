"""Catalogue: images, labels, splits and item ids - the one data structure of the library."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd

from ..cells import as_text, parts, respelled
from ..tasks import Task

SPLITS = ("train", "val", "test", "query", "gallery")
REJECTED = ("source", "row", "image", "reason")
SUMMARY = ("label", "task", "evaluated", "classes", "labelled", "missing", "unseen", "respelled", "largest_share")
RESERVED = ("image", "split")  # columns that every catalogue has, which no label may be


class CatalogueError(ValueError):
    """What a catalogue holds does not fit together; the message names file, row or column."""


class ImageSource(Protocol):
    fingerprint: str

    def read(self, location: str) -> bytes | np.ndarray:
        """The encoded file at a location, or its pixels (H, W, 3) uint8. Raises ``BadImage``."""


class Catalogue:
    """One row per image.

    ``table`` has the columns ``image`` (where its bytes are), ``split``, one for each label, and any other; ``tasks``
    are what can be asked of these images, with classes learned from the training rows; their columns become text by the
    rule of ``cells.as_text``. ``images`` reads them, ``rejected`` is a table of rows that were left out, each with its
    reason, and ``facts`` is a dict of what is worth reporting beside a result (split, seed, crop, ...).

    Raises ``CatalogueError`` for a missing column, an unknown split, an empty training split, a row that names no image
    or one that another row names, and a task or label whose name means something else."""

    def __init__(
        self, table: pd.DataFrame, tasks: Sequence[Task], images: ImageSource, name: str, rejected=None, facts=None
    ):
        self.table = table.reset_index(drop=True)
        self.images, self.name, self.facts = images, name, dict(facts or {})
        self.rejected = pd.DataFrame(columns=REJECTED) if rejected is None else rejected.reset_index(drop=True)
        self._tasks = {task.name: task for task in tasks}
        if len(self._tasks) < len(tasks):
            raise CatalogueError(f"{name}: two tasks have the same name, among {', '.join(t.name for t in tasks)}")
        several = {column: task.multi for task in tasks for column in task.columns}
        self._check([*several])
        self.respelled = {column: self._read(column, multi) for column, multi in several.items()}

    def _read(self, column: str, multi: bool) -> int:
        """Make the cells of a column text, and return how many labels had to be spelled like others."""
        given = self.table[column]
        try:
            text = as_text(given)
        except ValueError as error:
            raise CatalogueError(f"{self.name}: column {column!r}: {error}") from None
        if multi:  # where empty text says that none applies
            read = ["" if str(cell) == "" else of and ";".join(parts(of)) for cell, of in zip(given, text, strict=True)]
            text = pd.Series(read, text.index, object)
        if text.equals(given):
            return 0
        self.table = self.table.assign(**{column: text})
        if multi:
            given = given[text.notna()].astype(str).str.split(";").explode(ignore_index=True).str.strip()
        return respelled(given, as_text(given))

    def _check(self, labels: Sequence[str]) -> None:
        taken = {*RESERVED, *(f"{label}_confidence" for label in labels)}  # the latter where predictions are a table
        if wrong := taken.intersection([*self._tasks, *labels]):
            raise CatalogueError(f"{self.name}: no label may be called {min(wrong)!r}, which has a meaning; rename it")
        for column in (*RESERVED, *labels):
            self.column(column)
        image, split = self.table["image"], self.table["split"]
        checks = {"names no image as text": ~image.map(lambda name: isinstance(name, str))}
        checks["repeats the image of another row"] = image.duplicated()
        checks |= {f"has a split which is not one of {', '.join(SPLITS)}": ~split.isin(SPLITS)}
        for what, found in checks.items():
            if found.any():
                row = int(found.idxmax())
                raise CatalogueError(f"{self.name}: row {row} ({image[row]}, split {split[row]!r}) {what}")
        if not (split == "train").any():
            first = "".join(f"; first of {len(self.rejected)} rejected: {why}" for why in self.rejected["reason"][:1])
            raise CatalogueError(f"{self.name}: the training split is empty{first}")

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        parts = ", ".join(f"{n:,} {split}" for split, n in self.table["split"].value_counts().items())
        gone = f"; {len(self.rejected):,} rejected" if len(self.rejected) else ""
        return f"Catalogue {self.name!r}: {len(self):,} images ({parts}); tasks {', '.join(self._tasks)}{gone}"

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """Every task by name, with the classes of the training split."""
        train = self.table[self.table["split"] == "train"]
        return {name: task.learn(train) for name, task in self._tasks.items()}

    def column(self, name: str) -> pd.Series:
        """A column of the table. Raises ``CatalogueError`` if there is none of that name."""
        if (n := [*self.table].count(name)) != 1:
            raise CatalogueError(f"{self.name}: column {name!r} is {'twice' if n else 'missing'} in {[*self.table]}")
        return self.table[name]

    def select(self, *names: str) -> list[Task]:
        """The tasks of these names. Raises ``CatalogueError`` for an unknown one, or one that has nothing to learn."""
        return [self.task(name) for name in names]

    def task(self, name: str, **changes) -> Task:
        """One task, some of its fields changed (such as ``loss_function``) and its classes learned again. Raises as
        ``select`` does, and ``ValueError`` for a field that the task does not have, or another value."""
        if name not in [*self._tasks]:  # by equality, for a list has no hash
            raise CatalogueError(f"{self.name}: no task {name!r}; there are {', '.join(self._tasks)}")
        task = replace(self._tasks[name], **changes).learn(self.table[self.table["split"] == "train"])
        if empty := [label for label, classes in task.labels.items() if not classes]:
            message = f"{self.name}: training has no class to learn in column {empty[0]!r}"
            raise CatalogueError(message + (f" with {changes}" if changes else ""))
        return task

    def only(self, *names: str) -> "Catalogue":
        """The same images with some of their tasks. Raises as ``select`` does."""
        self.select(*names)
        return self._copy(self.table, [self._tasks[name] for name in names])

    def rows(self, split: str | Sequence) -> np.ndarray:
        """Row numbers of a split, or given as numbers or as a mask (N,) of all rows. Raises ``CatalogueError`` for an
        empty split, and for what is neither."""
        if not isinstance(split, str):
            rows = np.asarray(split)
            if rows.dtype == bool and rows.shape == (len(self),):
                return np.flatnonzero(rows)
            if rows.ndim != 1 or rows.size and (rows.dtype.kind not in "iu" or min(rows) < 0 or max(rows) >= len(self)):
                said = f"{rows.dtype} of the shape {rows.shape}"
                raise CatalogueError(f"{self.name}: rows are numbers below {len(self)}, or a mask of all, not {said}")
            return rows.astype(np.int64)
        rows = np.flatnonzero(self.table["split"] == split)
        if len(rows) == 0:
            raise CatalogueError(f"{self.name}: split {split!r} is empty; there are {[*self.table['split'].unique()]}")
        return rows

    def read(self, row: int) -> bytes | np.ndarray:
        """What the image source holds for a row."""
        return self.images.read(self.table.at[row, "image"])

    def with_split(self, assignment: Sequence[str], **facts) -> "Catalogue":
        """The same images under another split; classes are learned again."""
        return self._copy(self.table.assign(split=np.asarray(assignment, dtype=object)), facts={**self.facts, **facts})

    def with_labels(self, column: str, rows: Sequence[int], values, **facts) -> "Catalogue":
        """The same images with other values of a column in some rows; classes are learned again."""
        table = self.table.assign(**{column: self.column(column).copy()})
        table.loc[self.rows(rows), column] = values.to_numpy() if isinstance(values, pd.Series) else values
        return self._copy(table, facts={**self.facts, **facts})

    def without(self, rows: Sequence[int], reasons: Sequence[str], source: str) -> "Catalogue":
        """A copy without some rows, which are listed with their reasons in ``rejected``."""
        rows = self.rows(rows)
        gone = self.table.loc[rows].assign(source=source, row=rows, reason=list(reasons))[list(REJECTED)]
        rejected = pd.concat([self.rejected, gone], ignore_index=True) if len(self.rejected) else gone
        return self._copy(self.table.drop(index=rows), rejected=rejected)

    def _copy(self, table: pd.DataFrame, tasks: Sequence[Task] | None = None, **changes) -> "Catalogue":
        tasks = list(self._tasks.values()) if tasks is None else tasks
        kept = {"rejected": self.rejected, "facts": self.facts}
        copy = Catalogue(table, tasks, self.images, self.name, **kept | changes)
        copy.respelled |= {column: n for column, n in self.respelled.items() if column in copy.respelled}
        return copy

    def fingerprint(self, columns: Sequence[str] | None = None, images: str | None = None) -> str:
        """SHA-256 of images (or what stands for them), their order, split, and labels: all columns or those given."""
        table = self.table if columns is None else self.table[["image", "split", *columns]]
        return hashlib.sha256((images or self.image_fingerprint).encode() + table_bytes(table)).hexdigest()

    @property  # files may be changed while it lives
    def image_fingerprint(self) -> str:
        """SHA-256 of which images there are, whatever their labels and split."""
        names = "\n".join(self.table["image"]).encode(errors="surrogateescape")
        return hashlib.sha256(self.images.fingerprint.encode() + names).hexdigest()

    def summary(self) -> pd.DataFrame:
        """One row per label: kind of task, classes, labelled, missing and unseen images, labels that were spelled
        otherwise than the first of their class, the largest class's share."""
        rows = []
        for task in self.tasks.values():
            for column in task.columns:
                values, classes = self.table[column].dropna(), task.labels.get(column, ())
                single = bool(classes) and not task.multi
                unseen = int((~values.isin(classes)).sum()) if single else 0
                share = values.value_counts(normalize=True).max() if single else float("nan")
                n = len(classes) or values.nunique(), len(values), len(self) - len(values), unseen
                kind = f"{type(task).__name__} {task.name}"
                rows.append((column, kind, task.evaluated, *n, self.respelled[column], share))
        return pd.DataFrame(rows, columns=SUMMARY)


def table_bytes(table: pd.DataFrame) -> bytes:
    """The table as CSV, and which cells are empty text: CSV writes a missing value the same way."""
    rows, columns = np.nonzero((table.astype(object) == "").to_numpy())
    empty = "".join(f"{row} {table.columns[column]}\n" for row, column in zip(rows, columns, strict=True))
    return (table.to_csv(index=False) + empty).encode(errors="surrogateescape")
