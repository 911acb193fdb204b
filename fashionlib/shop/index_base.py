"""What every kind of index shares: its methods, what they refuse, and the shape of their answers."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import pandas as pd

COLUMNS = {"query": np.int64, "rank": np.int64, "id": object, "similarity": np.float32}  # and the attributes
BLOCK = 2**22  # similarities held at once: 16 MB
IDS = 4096  # looked up at once


class Index(AbstractContextManager):
    """Items with an id (text), an embedding that is compared by its cosine, and attributes (text, or missing). A kind
    of index has, with checked ids, unit vectors (N, D) in float32 and tables of attributes: ``_known(ids)``, the set of
    those there; ``_insert(ids, vectors, table)``; ``_update`` (vectors may be None); ``_delete(ids)``, how many there
    were; ``_search(queries, k, wanted)``, columns query, id, similarity and attributes, the best first."""

    at_once = 64  # queries of one search

    def __init__(self, dimension: int, model_id: str, attributes: Sequence[str]) -> None:
        names = (attributes,) if isinstance(attributes, str) else tuple(attributes)
        if dimension < 1:
            raise ValueError(f"dimension is {dimension}; an embedding has at least 1 value")
        taken = (*COLUMNS, *names)  # a search has columns of its own
        if bad := [name for name in names if not isinstance(name, str) or not name or taken.count(name) > 1]:
            raise ValueError(f"attribute {bad[0]!r}: name it once, and other than {', '.join(COLUMNS)}")
        self.dimension, self.attributes = dimension, names
        self.layout = {"model_id": model_id, "dimension": int(dimension), "attributes": sorted(names)}
        # the columns of a table that is kept: any text may name an attribute
        self.columns = {name: f"attribute_{number}" for number, name in enumerate(sorted(names))}

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Let go of a server, if there is one."""

    def insert(self, ids: Sequence[str], embeddings: np.ndarray, attributes: pd.DataFrame | None = None) -> None:
        """Add items: ids (N), embeddings (N, D) of any length but zero, and a table of N rows with the attributes, in
        that order. Raises ``ValueError``, and adds nothing, for an id that is there already or comes twice, embeddings
        that do not fit or are not finite, attributes that are missing as a column or are not text."""
        ids = _checked_ids(ids)
        vectors = self._unit(embeddings, len(ids))
        table = _checked_attributes(attributes, self.attributes, len(ids))
        if known := self._among(ids):
            raise ValueError(f"{_some(known)} in the index already; nothing was inserted. Update or delete these first")
        if ids:
            self._insert(ids, vectors, table)

    def update(self, ids: Sequence[str], embeddings: np.ndarray | None = None, attributes=None) -> None:
        """Change items that are there: their embeddings, the attributes that the table has a column of, or both. Raises
        ``ValueError``, and changes nothing, for an id that is not there, and as ``insert``."""
        ids = _checked_ids(ids)
        changed = [name for name in self.attributes if attributes is not None and name in attributes]
        if not changed and (embeddings is None or attributes is not None):
            raise ValueError(f"nothing to update: give embeddings, or attributes among {', '.join(self.attributes)}")
        vectors = None if embeddings is None else self._unit(embeddings, len(ids))
        table = _checked_attributes(attributes if changed else None, changed, len(ids))
        known = self._among(ids)
        if unknown := [name for name in ids if name not in known]:
            raise ValueError(f"{_some(unknown)} not in the index; nothing was updated. Use insert to add items")
        if ids:
            self._update(ids, vectors, table)

    def delete(self, ids: Sequence[str]) -> int:
        """Remove items, and return how many there were; an id that is not there is not counted."""
        ids = _checked_ids(ids)
        return sum(self._delete(ids[part]) for part in blocks(len(ids), IDS))

    def search(self, embeddings: np.ndarray, k: int = 10, where: Mapping | None = None) -> pd.DataFrame:
        """The k most similar items, or all, for each of the embeddings (Q, D): columns query (0 to Q - 1), rank (from
        1), id, similarity (cosine) and the attributes. ``where`` names what the items must have, every attribute one
        value or any of a list: ``{"gender": "Women", "baseColour": ["Red", "Maroon"]}``. Raises ``ValueError`` for
        embeddings that do not fit and an attribute that the index does not have."""
        if not isinstance(k, int | np.integer) or k < 1:
            raise ValueError(f"k is {k!r}; it is a whole number from 1 on")
        wanted = {name: list(np.atleast_1d(np.asarray(values, object))) for name, values in dict(where or {}).items()}
        if unknown := [name for name in wanted if name not in self.attributes]:
            raise ValueError(f"where: no attribute {unknown[0]}; the index has {', '.join(self.attributes) or 'none'}")
        for name, values in wanted.items():
            _check_text(f"where, {name}", dict(enumerate(values)))
        queries = self._unit(embeddings)
        kinds = COLUMNS | dict.fromkeys(self.attributes, object)
        parts: list[Mapping] = [dict.fromkeys(kinds, ())]
        for part in blocks(len(queries) if all(wanted.values()) else 0, self.at_once):
            found = self._search(queries[part], k, wanted)
            query = np.asarray(found["query"])
            rank = np.arange(len(query)) - np.searchsorted(query, query) + 1
            parts.append({**found, "query": query + part.start, "rank": rank})
        found = {name: np.concatenate([np.asarray(part[name], kinds[name]) for part in parts]) for name in kinds}
        found["similarity"] = found["similarity"].clip(-1, 1)
        names, n = ("id", *self.attributes), len(found["id"])
        texts = pd.array(np.concatenate([found[name] for name in names]), dtype="str")  # at once: it costs by the call
        return pd.DataFrame({**found, **{name: texts[k * n : k * n + n] for k, name in enumerate(names)}})

    def _among(self, ids: list[str]) -> set[str]:
        return set().union(*(self._known(ids[part]) for part in blocks(len(ids) if len(self) else 0, IDS)))

    def _check_layout(self, there: dict, what: str) -> None:
        if there != self.layout:
            what = f"{what} is of {there or 'something else'}, you ask for {self.layout}"
            raise ValueError(f"{what}: build it anew from the items, or name another folder or collection")

    def _unit(self, embeddings: np.ndarray, n: int | None = None) -> np.ndarray:
        """Embeddings (N, D) at unit length, float32, checked."""
        embeddings = np.asarray(embeddings)
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dimension or n not in (None, len(embeddings)):
            shape = f"({'N' if n is None else n}, {self.dimension})"
            how = "np.stack makes that of a column of embeddings (errors have none), embedding[None] of a single one"
            raise ValueError(f"embeddings have the shape {embeddings.shape}, not {shape}: {how}")
        vectors = embeddings.astype(np.float64)  # whose squares neither vanish nor overflow
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        if (bad := ~(np.isfinite(length) & (length > 0))).any():
            raise ValueError(f"{bad.sum():,} embeddings are not finite or zero, the first in row {bad.argmax()}")
        return (vectors / length).astype(np.float32)


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices of at most ``size`` (but one at least) that cover n rows."""
    return (slice(start, start + max(size, 1)) for start in range(0, n, max(size, 1)))


def load(name: str):
    """An optional library. Raises ``ImportError`` that says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        how = "pip install 'fashionlib[search]'; open_index(None, ...), in memory, works without"
        raise ImportError(f"this index needs {name}: {how}") from error


def _checked_ids(ids: Sequence[str]) -> list[str]:
    """The ids as a list. Raises ``ValueError`` unless they are texts, none of them empty or twice."""
    if isinstance(ids, str):
        raise ValueError(f"ids is the text {ids!r}; give a list of ids")
    ids = pd.Series(list(ids), dtype=object)
    _check_text("ids", ids)
    if (empty := ids == "").any():
        raise ValueError(f"ids, row {empty.argmax()}: '' is not an id")
    if twice := ids[ids.duplicated()].tolist():
        raise ValueError(f"{_some(twice)} more than once in one call; give each id once")
    return ids.tolist()


def _checked_attributes(attributes: pd.DataFrame | None, names: Sequence[str], n: int) -> pd.DataFrame:
    """The named columns of a table with n rows, numbered anew, as text or missing."""
    table = pd.DataFrame(index=range(n)) if attributes is None else pd.DataFrame(attributes).reset_index(drop=True)
    if absent := [name for name in names if name not in table]:
        raise ValueError(f"attributes: no column {', '.join(absent)}; where they are not known, give a column of None")
    if len(table) != n:
        raise ValueError(f"{len(table):,} rows of attributes for {n:,} ids; they must be as many")
    for name in names:
        _check_text(f"attribute {name!r}", table[name].dropna())
    return table[list(names)].astype("str")


def _check_text(what: str, values: Mapping | pd.Series) -> None:
    for row, value in values.items():
        if not isinstance(value, str) or value.encode(errors="ignore").decode() != value:
            raise ValueError(f"{what}, row {row}: {value!r} is not text in UTF-8; take .astype(str)")


def _some(ids: Sequence[str]) -> str:
    """The first of some ids, with a verb."""
    return f"{', '.join(map(repr, list(ids)[:3]))}{', ...' * (len(ids) > 3)} ({len(ids):,}) are"
