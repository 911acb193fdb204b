"""Nearest-neighbour search over a catalogue: ``open_index``, and the exact index in memory."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from .index_base import BLOCK, Index


def open_index(
    where: str | Path | None = None, *, dimension: int, model_id: str, attributes=(), token="", collection="catalogue"
) -> Index:
    """An index of embeddings with ``dimension`` values made by the model ``model_id``, and attributes of these names.

    ``None``: exact, in memory. A folder, or ``"s3://bucket/path"`` (``gs://``, ``az://``, credentials in the
    environment): LanceDB; several processes may read while one writes. ``"http://host:19530"`` or ``https://``: a
    Milvus server, with its ``token`` ("user:password" or a key). Each ``collection`` in a place is an index. Raises
    ``ValueError`` for a place that is none of these or whose index is of another model, dimension or other attributes,
    ``ImportError`` without LanceDB or pymilvus, ``ConnectionError`` for a server that does not answer."""
    layout = (dimension, model_id, attributes)
    if where is None:
        return ExactIndex(*layout)
    scheme, _, rest = str(where).rpartition("://")
    if not rest.strip():
        raise ValueError(f"{str(where)!r} names no place for an index")
    if scheme in ("http", "https"):
        from .index_milvus import MilvusIndex

        return MilvusIndex(str(where), token, collection, *layout)
    if scheme not in ("", "s3", "gs", "az") or not scheme and re.fullmatch(r"[^/]*:\d+/?", rest):
        server = rest.rpartition("@")[2]  # without a password
        raise ValueError(f"{server}: no folder and no object store (s3://...); a Milvus server is http://{server}")
    if token:
        raise ValueError(f"{where}: a token is for a Milvus server, http://...")
    from .index_lance import LanceIndex

    return LanceIndex(str(where), collection, *layout)


class ExactIndex(Index):
    """Exact search in memory: matrix products in blocks, so that a search holds a bounded number of similarities."""

    def __init__(self, *layout) -> None:
        super().__init__(*layout)
        self._vectors = np.empty((0, self.dimension), np.float32)  # (N, D), unit length
        self._table = pd.DataFrame(columns=list(self.attributes), index=pd.Index([], dtype="str"), dtype="str")

    def __len__(self) -> int:
        return len(self._table)

    @property
    def at_once(self) -> int:
        return BLOCK // max(len(self), 1)

    def _known(self, ids):
        return {name for name in ids if name in self._table.index}

    def _insert(self, ids, vectors, table):
        self._table = pd.concat([self._table, table.set_axis(ids)])
        self._vectors = np.concatenate([self._vectors, vectors])

    def _update(self, ids, vectors, table):
        rows = self._table.index.get_indexer(ids)
        if vectors is not None:
            self._vectors[rows] = vectors
        for name in table:
            self._table.iloc[rows, self._table.columns.get_loc(name)] = table[name].array

    def _delete(self, ids):
        gone = self._table.index.isin(ids)
        self._table, self._vectors = self._table[~gone], self._vectors[~gone]
        return int(gone.sum())

    def _search(self, queries, k, wanted):
        table, vectors = self._table, self._vectors
        if wanted:
            kept = table[list(wanted)].isin(wanted).all(axis=1).to_numpy()
            table, vectors = table[kept], vectors[kept]
        query, row, similarity = nearest(queries, vectors, k)
        found = table.take(row)
        return {"query": query, "id": found.index, "similarity": similarity, **found}


def nearest(queries: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k vectors (N, D) most similar to each query (Q, D), or all of them, the best first and ties by row: numbers
    of queries, rows of vectors and similarities, each (Q * min(k, N),)."""
    similarity = queries @ vectors.T  # (Q, N)
    if k < len(vectors):  # leave those that are at least as similar as the k-th: more than k where there are ties
        similarity[similarity < np.partition(similarity, -k, axis=1)[:, -k, None]] = -np.inf
    query, row = np.nonzero(similarity > -np.inf)
    order = np.lexsort((row, -similarity[query, row], query))
    kept = order[np.arange(len(order)) - np.searchsorted(query, query) < k]
    return query[kept], row[kept], similarity[query[kept], row[kept]]
