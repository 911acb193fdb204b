"""What is given to an index, checked: ids, embeddings, attributes and questions. The same for every kind of index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

COLUMNS = ("query", "rank", "id", "similarity")
TEXT_LIMIT = 16384  # bytes of an id or an attribute in UTF-8; Milvus ends at 65,535, and ids grow when written there


def checked_layout(dimension: int, model_id: str, attributes: Sequence[str]) -> tuple[int, str, tuple[str, ...]]:
    """What an index is made for. Raises ``ValueError`` for what it cannot be made for."""
    names = (attributes,) if isinstance(attributes, str) else tuple(attributes)
    if dimension < 1:
        raise ValueError(f"dimension is {dimension}; an embedding has at least 1 value")
    if bad := [name for name in names if not isinstance(name, str) or not name or name in COLUMNS]:
        raise ValueError(f"attribute {bad[0]!r}: name it otherwise; a search returns {', '.join(COLUMNS)} of its own")
    if len(set(names)) < len(names):
        raise ValueError(f"an attribute comes twice among {', '.join(names)}")
    return int(dimension), model_id, names


def checked_ids(ids: Sequence[str]) -> list[str]:
    """The ids as a list. Raises ``ValueError`` unless they are texts, none of them empty or twice."""
    if isinstance(ids, str):
        raise ValueError(f"ids is the text {ids!r}; give a list of ids")
    ids = list(ids)
    if bad := [(row, name) for row, name in enumerate(ids) if not isinstance(name, str) or not name]:
        row, name = bad[0]
        raise ValueError(f"ids, row {row}: {name!r} is not an id; ids are text that is not empty, so take str(id)")
    _check_length("ids", ids)
    if twice := pd.Series(ids, dtype=object)[lambda names: names.duplicated()].tolist():
        raise ValueError(f"{_some(twice)} more than once in one call; give each id once")
    return ids


def unit_vectors(embeddings: np.ndarray, dimension: int, n: int | None = None) -> np.ndarray:
    """Embeddings (N, D) at unit length, float32, checked."""
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2:
        raise ValueError(
            f"embeddings have the shape {embeddings.shape}; they must be 2-D (N, {dimension}): np.stack makes one of a "
            "list or column of them, embedding[None] of a single one"
        )
    if embeddings.shape[1] != dimension:
        raise ValueError(f"embeddings have {embeddings.shape[1]} values each, those of this index have {dimension}")
    if n is not None and len(embeddings) != n:
        raise ValueError(f"{len(embeddings):,} embeddings for {n:,} ids; they must be as many")
    vectors = embeddings.astype(np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = ~(np.isfinite(length) & (length > 0))[:, 0]
    if bad.any():
        raise ValueError(
            f"{bad.sum():,} embeddings are not finite or zero, the first in row {bad.argmax()}; leave those rows out"
        )
    return vectors / length


def attribute_table(attributes: pd.DataFrame | None, names: Sequence[str], n: int) -> pd.DataFrame:
    """The named columns of a table with n rows, numbered anew, as text or missing."""
    if attributes is None:
        attributes = pd.DataFrame(index=range(n))
    if missing := [name for name in names if name not in attributes]:
        raise ValueError(
            f"attributes: no column {', '.join(missing)}; the index has {', '.join(names)}. Where they are not known, "
            "give a column of None"
        )
    if len(attributes) != n:
        raise ValueError(f"{len(attributes):,} rows of attributes for {n:,} ids; they must be as many")
    columns = {}
    for name in names:
        values = attributes[name].astype(object).reset_index(drop=True)
        text = values.map(lambda value: isinstance(value, str)).astype(bool)
        if (other := ~text & values.notna()).any():
            row = int(other.to_numpy().argmax())
            raise ValueError(f"attribute {name!r}, row {row}: {values[row]!r} is not text; take .astype(str)")
        _check_length(f"attribute {name!r}", values[text])
        columns[name] = values.where(text, None).astype("str")
    return pd.DataFrame(columns, index=range(n))


def checked_update(index, ids: list[str], embeddings, attributes) -> tuple[np.ndarray | None, pd.DataFrame]:
    """The new unit-length vectors, if any, and a table of those attributes that change."""
    changed = [name for name in index.attributes if attributes is not None and name in attributes]
    if embeddings is None and not changed:
        raise ValueError(f"nothing to update: give embeddings, or attributes among {', '.join(index.attributes)}")
    vectors = None if embeddings is None else unit_vectors(embeddings, index.dimension, len(ids))
    return vectors, attribute_table(attributes if changed else None, changed, len(ids))


def checked_search(index, embeddings, k: int, where: Mapping | None) -> tuple[np.ndarray, dict[str, list[str]]]:
    """Unit-length queries, and what is asked for as lists of values."""
    if k < 1:
        raise ValueError(f"k is {k}; ask for at least 1")
    wanted = {name: [value] if isinstance(value, str) else list(value) for name, value in (where or {}).items()}
    if unknown := [name for name in wanted if name not in index.attributes]:
        has = ", ".join(index.attributes) or "none"
        raise ValueError(f"where: no attribute {', '.join(map(str, unknown))}; the index has {has}")
    for name, values in wanted.items():
        if bad := [value for value in values if not isinstance(value, str)]:
            raise ValueError(f"where, {name}: {bad[0]!r} is not text; attributes are text")
    return unit_vectors(embeddings, index.dimension), wanted


def refuse_known(ids: list[str]) -> None:
    """Raises ``ValueError`` that names ids which ought not to be in the index."""
    if ids:
        raise ValueError(f"{_some(ids)} in the index already; nothing was inserted. Use update to change items")


def refuse_unknown(ids: list[str]) -> None:
    """Raises ``ValueError`` that names ids which ought to be in the index."""
    if ids:
        raise ValueError(f"{_some(ids)} not in the index; nothing was updated. Use insert to add items")


def _check_length(what: str, values: Sequence[str]) -> None:
    for value in values:
        if len(value) > TEXT_LIMIT // 4 and len(value.encode()) > TEXT_LIMIT:
            raise ValueError(f"{what}: {value[:40]!r}... has more than {TEXT_LIMIT:,} bytes; shorten it")


def _some(ids: list[str]) -> str:
    """The first ids of a list, with a verb."""
    named = ", ".join(repr(name) for name in ids[:3])
    return f"{len(ids):,} ids ({named}, ...) are" if len(ids) > 3 else f"{named} {'is' if len(ids) == 1 else 'are'}"
