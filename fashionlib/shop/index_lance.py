"""An index in a folder or an object store: a LanceDB table, embedded in this process. Every write is one commit: a
process that is killed leaves the last one, and others read on meanwhile."""

import json
import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from .index_base import Index, load

# From so many items on, vectors lie in partitions, too (IVF_FLAT, which keeps them whole): a scan of the table, up to
# here some 10 ms, takes two to ten times as long as looking into all partitions, which is as exact.
PARTITIONED_FROM = 20_000
PARTITION = 4096  # items
PROBES = 256  # partitions that a search without a filter looks into: all of a million items, the nearest ones of more
FRAGMENTS = 20  # files of few rows, one of each write, before they are joined


class LanceIndex(Index):
    """See ``index.open_index``. Raises ``ValueError`` also for a file, a folder of something else, a damaged index."""

    def __init__(self, where: str, collection: str, *layout) -> None:
        super().__init__(*layout)
        os.environ.setdefault("LANCEDB_LOG", "error")  # it warns of partitions that an addition leaves empty
        lancedb, self._column, place = load("lancedb"), load("lancedb.expr").col, Path(where).expanduser()
        foreign = "://" not in where and place.exists() and not any(place.glob("*.lance"))
        if foreign and (place.is_file() or any(place.iterdir())):
            raise ValueError(f"{where} is a file or a folder of something else; an index is a folder of its own")
        fields = [("id", pa.string()), ("embedding", pa.list_(pa.float32(), self.dimension))]
        fields += [(column, pa.string()) for column in self.columns.values()]
        schema = pa.schema(fields, metadata={"fashionlib": json.dumps(self.layout)})
        try:
            database = lancedb.connect(where, read_consistency_interval=timedelta(0))  # reads see what others wrote
            if collection in database.list_tables(limit=2**15).tables:
                self._table = database.open_table(collection)
            else:
                self._table = database.create_table(collection, schema=schema, exist_ok=True)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{where}: no index can be opened ({error}); build it anew if it is damaged") from error
        layout = (self._table.schema.metadata or {}).get(b"fashionlib", "{}")
        self._check_layout(json.loads(layout), f"{where}, collection {collection!r},")

    def __len__(self) -> int:
        return self._table.count_rows()

    def _known(self, ids):
        found = self._table.search().where(self._column("id").isin(ids)).select(["id"]).limit(None)
        return set(found.to_arrow()["id"].to_pylist())

    def _insert(self, ids, vectors, table):
        done = self._table.merge_insert("id").when_not_matched_insert_all().execute(self._rows(ids, vectors, table))
        if lost := len(ids) - done.num_inserted_rows:
            raise ValueError(f"{lost:,} of {len(ids):,} ids were inserted by another process meanwhile; update them")
        self._tend(len(ids))

    def _update(self, ids, vectors, table):
        self._table.merge_insert("id").when_matched_update_all().execute(self._rows(ids, vectors, table))
        self._tend()

    def _delete(self, ids):
        return self._table.delete(self._column("id").isin(ids)).num_deleted_rows

    def _search(self, queries, k, wanted):
        k = k if k < 10_000 else min(k, len(self) + 1)  # memory for k is asked for, however few there are
        search = self._table.search(queries, vector_column_name="embedding").distance_type("cosine").limit(k)
        for name, values in wanted.items():
            search = search.where(self._column(self.columns[name]).isin(values))
        search = search.minimum_nprobes(2**31 if wanted else PROBES).maximum_nprobes(0)  # more if they have too few
        # to_arrow(), or no row ids, would ask the table for its schema again, .4 milliseconds each time
        found = search.with_row_id(True).select(["id", "_distance", *self.columns.values()]).to_batches().read_all()
        query = np.asarray(found["query_index"]) if "query_index" in found.column_names else np.zeros(len(found), int)
        found = found.take(order := np.lexsort((found["_distance"], query)))
        columns = {name: found[column].to_pylist() for name, column in {"id": "id", **self.columns}.items()}
        return {"query": query[order], "similarity": 1 - np.asarray(found["_distance"]), **columns}

    def _rows(self, ids: list[str], vectors: np.ndarray | None, table: pd.DataFrame) -> pa.Table:
        columns = {"id": ids} | {self.columns[name]: pa.array(table[name], pa.string()) for name in table}
        if vectors is not None:
            columns["embedding"] = pa.FixedSizeListArray.from_arrays(vectors.ravel(), self.dimension)
        return pa.table(columns)

    def _tend(self, added: int = 0) -> None:
        """Index and join what was added, where it is much; partitions are made anew when the items have doubled."""
        kinds = load("lancedb.index")
        there = {index.columns[0]: index.num_unindexed_rows for index in self._table.list_indices()}
        n = len(self)
        if n.bit_length() > (n - added).bit_length():
            there.pop("embedding", None)
        wanted = {"id": kinds.BTree()} | {column: kinds.Bitmap() for column in self.columns.values()}
        if n >= PARTITIONED_FROM:
            wanted["embedding"] = kinds.IvfFlat(distance_type="cosine", target_partition_size=PARTITION)
        try:
            for column in wanted.keys() - there.keys():
                self._table.create_index(column, config=wanted[column], replace=True)
            files = self._table.stats()["fragment_stats"]["num_small_fragments"]
            if 10 * max(there.values(), default=0) > n or files > FRAGMENTS:
                self._table.optimize()
        except RuntimeError as error:
            if "conflict" not in str(error):  # with another writer: the items are in, the next write tends again
                raise
