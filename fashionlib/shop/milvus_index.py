"""An index that stays: embeddings and their attributes in a Milvus collection, embedded in a folder or on a server.

Ids are written percent-encoded, because the Milvus client puts them between quotes as they are.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd

from .index import pair_table, search_table
from .index_checks import (
    attribute_table,
    checked_ids,
    checked_layout,
    checked_search,
    checked_update,
    refuse_known,
    refuse_unknown,
    unit_vectors,
)
from .milvus_collection import attribute_fields, create_collection, is_partitioned, layout_of, literal, partition_of
from .milvus_connection import Engine, connect, import_quietly, release

BATCH_VALUES = 2**20  # embedding values in one request: 4 MB
BATCH_ROWS = 4096  # items in one request
QUERIES = 64  # in one search request
MAX_K = 16384  # what a Milvus server returns at most
EF = 256  # candidates that a search of the graph keeps; more finds more, slower


class MilvusIndex:
    """The methods of ``ExactIndex``, which see, on a Milvus collection; opened by ``index.open_index``.

    A folder is opened by one process at a time. What a call has written stays, also when the process is killed.

    Raises ``ImportError`` without pymilvus, ``ConnectionError`` for an address that does not answer, ``OSError`` for a
    folder that another process has open, and ``ValueError`` for an index of another model, dimension or attributes, and
    for a file or folder that is damaged or no index.
    """

    def __init__(
        self,
        where: str | Path,
        dimension: int,
        model_id: str,
        attributes: Sequence[str] = (),
        token: str = "",
        collection: str = "catalogue",
    ) -> None:
        self.dimension, self.model_id, self.attributes = checked_layout(dimension, model_id, attributes)
        self.where = re.sub(r"//[^/@]*@", "//", str(where))  # no password in messages
        self._collection = collection
        self._fields = attribute_fields(self.attributes)
        self._partitioned_by: str | None = None  # the attribute whose values decide the partition
        self._size = max(min(BATCH_ROWS, BATCH_VALUES // self.dimension), 1)
        import_quietly()
        self._engine = None if "://" in str(where) else Engine.of(Path(where))
        address = self._engine.address if self._engine else str(where)
        try:
            client = connect(address, token, self.where, embedded=self._engine is not None)
        except BaseException:
            release(None, self._engine)
            raise
        self._close = weakref.finalize(self, release, client, self._engine)
        self._close.atexit = False  # the log of writes is on disk; threads are gone by then
        self._open_client = client
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Write what is in memory to the folder, and let others open it."""
        self._close()

    def __len__(self) -> int:
        with self._request("count", flushed=True) as client:
            return client.query(self._collection, filter="", output_fields=["count(*)"])[0]["count(*)"]

    def insert(self, ids: Sequence[str], embeddings: np.ndarray, attributes: pd.DataFrame | None = None) -> None:
        """As ``ExactIndex.insert``, in requests of bounded size; an ``OSError`` says from which item on they may not be
        stored: delete those, and insert them again."""
        ids = checked_ids(ids)
        vectors = unit_vectors(embeddings, self.dimension, len(ids))
        table = attribute_table(attributes, self.attributes, len(ids))
        known = self._known(ids)
        refuse_known([name for name in ids if name in known])
        self._write("insert", ids, vectors, table)

    def update(
        self, ids: Sequence[str], embeddings: np.ndarray | None = None, attributes: pd.DataFrame | None = None
    ) -> None:
        """As ``ExactIndex.update``, in requests of bounded size; an ``OSError`` says from which item on they may not be
        updated."""
        ids = checked_ids(ids)
        vectors, table = checked_update(self, ids, embeddings, attributes)
        known = self._known(ids)
        refuse_unknown([name for name in ids if name not in known])
        kept = [name for name in self.attributes if name not in table]
        for part in self._parts(len(ids)):  # a row is written whole
            fields = [self._fields[name] for name in kept] + ["embedding"] * (vectors is None)
            there = {item["id"]: item for item in self._get(ids[part], fields)}
            old = [there[name] for name in ids[part]]
            new = np.array([item["embedding"] for item in old], np.float32) if vectors is None else vectors[part]
            rest = self._attributes(old, kept)
            self._write("upsert", ids[part], new, pd.concat([table.iloc[part].reset_index(drop=True), rest], axis=1))

    def delete(self, ids: Sequence[str]) -> int:
        """As ``ExactIndex.delete``."""
        ids = checked_ids(ids)
        known = self._known(ids)
        ids = [name for name in ids if name in known]
        for part in self._parts(len(ids)):
            with self._request("delete") as client:
                client.delete(self._collection, ids=[quote(name) for name in ids[part]])
        return len(ids)

    def search(self, embeddings: np.ndarray, k: int = 10, where: Mapping | None = None) -> pd.DataFrame:
        """As ``ExactIndex.search``; k is at most 16,384."""
        queries, wanted = checked_search(self, embeddings, k, where)
        if k > MAX_K:
            raise ValueError(f"k is {k:,}; Milvus returns at most {MAX_K:,}")
        answers = []
        if all(wanted.values()):  # an empty list of values finds nothing
            options = {
                "filter": " and ".join(f"{self._fields[name]} in {literal(values)}" for name, values in wanted.items()),
                "limit": k,
                "output_fields": list(self._fields.values()),
                "search_params": {"metric_type": "IP", "params": {"ef": max(EF, 2 * k)}},
            }
            for start in range(0, len(queries), QUERIES):
                answers += self._answers(list(queries[start : start + QUERIES]), options, wanted)
        hits = [hit for answer in answers for hit in answer]
        counts = np.array([len(answer) for answer in answers] or [0] * len(queries), np.int64)
        cosines = np.array([hit["distance"] for hit in hits], np.float32).clip(-1, 1)
        found = self._attributes([hit["entity"] for hit in hits], self.attributes)
        return search_table(counts, [unquote(hit["id"]) for hit in hits], cosines, found)

    def _answers(self, queries: list, options: dict, wanted: Mapping[str, list[str]]) -> list:
        """What a search finds in the partitions that can hold it, or in all if an item has moved to another one: what
        it was before is still in the first."""
        values = wanted.get(self._partitioned_by, [])
        parts = {"partition_names": sorted(map(partition_of, set(values)))} if values else {}
        with self._request("search", flushed=True) as client:
            answers = client.search(self._collection, data=queries, **options, **parts)
            if not values:
                return answers
        ids = list({unquote(hit["id"]) for answer in answers for hit in answer})
        field = self._fields[self._partitioned_by]
        if all(item[field] in values for part in self._parts(len(ids)) for item in self._get(ids[part], [field])):
            return answers
        with self._request("search") as client:
            return client.search(self._collection, data=queries, **options)

    def near_duplicates(self, similarity: float = 0.98) -> pd.DataFrame:
        """As ``ExactIndex.near_duplicates``: exact, with all embeddings in memory."""
        ids, vectors = [], [np.empty((0, self.dimension), np.float32)]
        with self._request("read", flushed=True) as client:
            rows = client.query_iterator(self._collection, batch_size=self._size, output_fields=["id", "embedding"])
            while part := rows.next():
                ids += [unquote(row["id"]) for row in part]
                vectors.append(np.array([row["embedding"] for row in part], np.float32))
            rows.close()
        return pair_table(np.array(ids, object), np.concatenate(vectors), similarity)

    def _open(self) -> None:
        """Find the collection and see that it is ours, or make it."""
        layout = {"model_id": self.model_id, "dimension": self.dimension, "attributes": self.attributes}
        with self._request("open") as client:
            if not client.has_collection(self._collection):
                create_collection(client, self._collection, layout, embedded=self._engine is not None)
            there = layout_of(client, self._collection, layout, self.where)
            fields = attribute_fields(there["attributes"])
            self._fields = {name: fields[name] for name in self.attributes}
            client.load_collection(self._collection)
            if self._engine and is_partitioned(client, self._collection):
                self._partitioned_by = there["attributes"][0]

    @contextmanager
    def _request(self, what: str, flushed: bool = False) -> Iterator:
        """The client, for one request; ``flushed`` because milvus-lite reads slowly what is not yet in columns."""
        from pymilvus import MilvusException

        if not self._close.alive:
            raise ValueError(f"{self.where} is closed; open it again with open_index")
        try:
            if flushed and self._engine and self._engine.written:
                self._open_client.flush(self._collection)
                self._engine.written = False
            yield self._open_client
        except MilvusException as error:
            reason = error.message or str(error)
            if what == "open" and self._engine:
                raise ValueError(
                    f"{self.where} cannot be opened as an index ({reason}); if it is damaged, remove the folder and "
                    "build the index anew"
                ) from None
            raise OSError(f"{self.where}: {what} failed ({reason})") from error

    def _parts(self, n: int) -> list[slice]:
        return [slice(start, start + self._size) for start in range(0, n, self._size)]

    def _get(self, ids: list[str], fields: list[str]) -> list[dict]:
        with self._request("read") as client:
            rows = client.get(self._collection, ids=[quote(name) for name in ids], output_fields=["id", *fields])
        return [{**row, "id": unquote(row["id"])} for row in rows]

    def _known(self, ids: list[str]) -> set[str]:
        return {item["id"] for part in self._parts(len(ids)) for item in self._get(ids[part], [])}

    def _attributes(self, items: list[Mapping], names: Sequence[str]) -> pd.DataFrame:
        columns = {name: pd.Series([item[self._fields[name]] for item in items], dtype="str") for name in names}
        return pd.DataFrame(columns, index=range(len(items)))

    def _write(self, how: str, ids: list[str], vectors: np.ndarray, table: pd.DataFrame) -> None:
        columns = {self._fields[name]: table[name].astype(object).where(table[name].notna(), None) for name in table}
        for part in self._parts(len(ids)):
            values = [column.iloc[part].tolist() for column in columns.values()]
            rows = [
                {"id": quote(name), "embedding": vector, **dict(zip(columns, rest, strict=True))}
                for name, vector, *rest in zip(ids[part], vectors[part], *values, strict=True)
            ]
            if self._engine:
                self._engine.written = True
            with self._request(f"{how} from item {part.start:,} of {len(ids):,} on") as client:
                for partition, some in self._by_partition(rows).items():
                    getattr(client, how)(self._collection, some, partition_name=partition)

    def _by_partition(self, rows: list[dict]) -> dict[str, list[dict]]:
        if self._partitioned_by is None:
            return {"": rows}
        parts: dict[str, list[dict]] = {}
        for row in rows:
            parts.setdefault(partition_of(row[self._fields[self._partitioned_by]]), []).append(row)
        return parts
