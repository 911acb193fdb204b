"""Nearest-neighbour search over a catalogue: exact in memory here, kept on disk or on a server in ``milvus_index``.

Both have the same methods and give the same answers; ``open_index`` opens either. An item has an id (text), an
embedding that is compared by its cosine, and attributes (text, or missing) that a search can ask for. A missing
attribute stays missing, and no ``where`` finds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from .index_checks import (
    COLUMNS,
    attribute_table,
    checked_ids,
    checked_layout,
    checked_search,
    checked_update,
    refuse_known,
    refuse_unknown,
    unit_vectors,
)

BLOCK = 2**22  # similarities held at once: 16 MB, and 32 MB for their order
TIE = np.float32(1e-6)  # cosines that differ by less are equal: some ten roundings of float32


def open_index(
    where: str | Path | None = None,
    *,
    dimension: int,
    model_id: str,
    attributes: Sequence[str] = (),
    token: str = "",
    collection: str = "catalogue",
):
    """An index of embeddings with ``dimension`` values made by the model ``model_id``, and the named attributes.

    ``None`` is an empty ``ExactIndex`` in memory. A path such as ``"catalogue.db"`` is a ``MilvusIndex`` in that
    folder, made if it is not there; an address such as ``"http://host:19530"`` one on a Milvus server or cluster, with
    the ``token`` that it asks for ("user:password" or a key) and the name of the ``collection`` there. Name first the
    attribute that is asked for most: in a folder, a filter on it looks through fewer items.
    """
    if where is None:
        return ExactIndex(dimension, model_id, attributes)
    from .milvus_index import MilvusIndex

    return MilvusIndex(where, dimension, model_id, attributes, token, collection)


class ExactIndex:
    """Exact search in memory: matrix products in blocks, so that a search holds a bounded number of similarities."""

    def __init__(self, dimension: int, model_id: str = "", attributes: Sequence[str] = ()) -> None:
        self.dimension, self.model_id, self.attributes = checked_layout(dimension, model_id, attributes)
        self._row: dict[str, int] = {}
        self._ids = np.empty(0, object)
        self._vectors = np.empty((0, dimension), np.float32)  # (N, D), unit length
        self._table = pd.DataFrame({name: pd.Series(dtype="str") for name in self.attributes})

    def __len__(self) -> int:
        return len(self._ids)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to do; it is here because ``MilvusIndex`` has something."""

    def insert(self, ids: Sequence[str], embeddings: np.ndarray, attributes: pd.DataFrame | None = None) -> None:
        """Add items: ids (N), embeddings (N, D) of any length but zero, and a table of N rows with the attributes;
        its other columns and its index are not looked at.

        Raises ``ValueError``, and adds nothing, for an id that is there already or comes twice, embeddings that do not
        fit or are not finite, attributes that are missing as a column or are not text.
        """
        ids = checked_ids(ids)
        vectors = unit_vectors(embeddings, self.dimension, len(ids))
        table = attribute_table(attributes, self.attributes, len(ids))
        refuse_known([name for name in ids if name in self._row])
        self._row.update(zip(ids, range(len(self), len(self) + len(ids)), strict=True))
        self._ids = np.concatenate([self._ids, np.array(ids, object)])
        self._vectors = np.concatenate([self._vectors, vectors])
        self._table = pd.concat([self._table, table], ignore_index=True)

    def update(
        self, ids: Sequence[str], embeddings: np.ndarray | None = None, attributes: pd.DataFrame | None = None
    ) -> None:
        """Change items that are there: their embeddings, the attributes that the table has a column of, or both.

        Raises ``ValueError``, and changes nothing, for an id that is not there, and as ``insert``.
        """
        ids = checked_ids(ids)
        vectors, table = checked_update(self, ids, embeddings, attributes)
        refuse_unknown([name for name in ids if name not in self._row])
        rows = [self._row[name] for name in ids]
        if vectors is not None:
            self._vectors[rows] = vectors
        for name in table:
            self._table.loc[rows, name] = table[name].to_numpy()

    def delete(self, ids: Sequence[str]) -> int:
        """Remove items, and return how many there were; an id that is not there is not counted."""
        gone = [self._row[name] for name in checked_ids(ids) if name in self._row]
        kept = np.ones(len(self), bool)
        kept[gone] = False
        self._ids, self._vectors = self._ids[kept], self._vectors[kept]
        self._table = self._table[kept].reset_index(drop=True)
        self._row = {name: row for row, name in enumerate(self._ids)}
        return len(gone)

    def search(self, embeddings: np.ndarray, k: int = 10, where: Mapping | None = None) -> pd.DataFrame:
        """The k most similar items for each of the embeddings (Q, D): columns query (0 to Q - 1), rank (from 1), id,
        similarity (cosine) and the attributes. There are fewer where fewer items are found.

        ``where`` names what the items must have, every attribute one value or any of a list:
        ``{"gender": "Women", "baseColour": ["Red", "Maroon"]}``.

        Raises ``ValueError`` for embeddings that do not fit and an attribute that the index does not have.
        """
        queries, wanted = checked_search(self, embeddings, k, where)
        rows = np.flatnonzero(self._having(wanted)) if wanted else np.arange(len(self))
        vectors = self._vectors[rows] if wanted else self._vectors
        nearest, cosines = most_similar(queries, vectors, k)
        found = rows[nearest.ravel()]
        counts = np.full(len(queries), nearest.shape[1])
        return search_table(counts, self._ids[found], cosines.ravel(), self._table.iloc[found])

    def near_duplicates(self, similarity: float = 0.98) -> pd.DataFrame:
        """Pairs of items at least so similar: columns first, second (the ids of a pair in the order of text) and
        similarity, the most similar first. It compares all with all, N * N * D / 2 products."""
        return pair_table(self._ids, self._vectors, similarity)

    def _having(self, wanted: dict[str, list[str]]) -> np.ndarray:
        return np.logical_and.reduce([self._table[name].isin(values).to_numpy() for name, values in wanted.items()])


def most_similar(queries: np.ndarray, vectors: np.ndarray, k: int, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the k vectors (N, D) nearest to each query (Q, D), and their cosines, both (Q, min(k, N)), best first."""
    n = len(vectors)
    k = min(k, n)
    rows, cosines = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    height = max(block // max(n, 1), 1)
    for start in range(0, len(queries) if k else 0, height):
        part = slice(start, start + height)
        similarity = queries[part] @ vectors.T  # (B, N)
        best = np.argpartition(similarity, n - k, axis=1)[:, n - k :]
        values = np.take_along_axis(similarity, best, 1)
        order = np.lexsort((best, -values), axis=1)
        rows[part], cosines[part] = (np.take_along_axis(array, order, 1) for array in (best, values))
    return rows, cosines.clip(-1, 1)


def pair_table(ids: np.ndarray, vectors: np.ndarray, similarity: float, block: int = BLOCK) -> pd.DataFrame:
    """See ``ExactIndex.near_duplicates``; vectors (N, D) of unit length."""
    if not -1 <= similarity <= 1:
        raise ValueError(f"similarity is {similarity}; a cosine lies between -1 and 1, for near-duplicates close to 1")
    parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
    height = max(block // max(len(vectors), 1), 1)
    for start in range(0, len(vectors), height):
        cosines = vectors[start : start + height] @ vectors[start:].T
        i, j = np.nonzero(cosines >= similarity - TIE)
        i, j = i[j > i], j[j > i]
        parts.append((i + start, j + start, cosines[i, j].clip(-1, 1)))
    i, j, cosines = (np.concatenate(column) for column in zip(*parts, strict=True))
    swapped = ids[i] > ids[j]
    first, second = np.where(swapped, ids[j], ids[i]), np.where(swapped, ids[i], ids[j])
    table = pd.DataFrame(
        {"first": pd.Series(first, dtype="str"), "second": pd.Series(second, dtype="str"), "similarity": cosines}
    )
    return table.sort_values(["similarity", "first", "second"], ascending=[False, True, True], ignore_index=True)


def search_table(counts: np.ndarray, ids: Sequence, similarity: np.ndarray, attributes: pd.DataFrame) -> pd.DataFrame:
    """The answer to Q queries, ``counts[q]`` rows for each; the other arguments have a row for each of all of them."""
    query = np.repeat(np.arange(len(counts)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    values = (query, np.arange(len(query)) - first + 1, pd.Series(list(ids), dtype="str"), similarity)
    head = pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
    return pd.concat([head, attributes.reset_index(drop=True)], axis=1)
