"""An index on a Milvus server or cluster, 2.6 or later, through its public client. The primary key is a digest of the
id, so that no id ever stands in a query; values of a filter do, as literals."""

import hashlib
import json
import logging
import re
from collections.abc import Sequence

from .index_base import IDS, Index, blocks, load

VALUES = 2**20  # of embeddings, in one request: 4 MB
EF = 256  # candidates that a search of the graph keeps; more finds more, slower
PROPERTY = "fashionlib"  # of a collection: the layout of its index


class MilvusIndex(Index):
    """See ``index.open_index``. A server searches a graph (HNSW), which may miss some of the nearest items. Items are
    written in requests of bounded size; where one fails (``pymilvus.MilvusException``), those before it are stored."""

    def __init__(self, where: str, token: str, collection: str, *layout) -> None:
        super().__init__(*layout)
        self._collection, self._height = collection, max(min(IDS, VALUES // self.dimension), 1)
        pymilvus, shown = load("pymilvus"), re.sub(r"//[^/@]*@", "//", where)  # no password in messages
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # what fails is raised
        try:
            self._client = pymilvus.MilvusClient(where, token=token, timeout=5.0)
        except pymilvus.MilvusException as error:
            raise ConnectionError(f"no Milvus at {shown} ({error.message}); check address, token, server") from None
        if not self._client.has_collection(collection):
            self._create(pymilvus.DataType)
        layout = self._client.describe_collection(collection).get("properties", {}).get(PROPERTY, "{}")
        self._check_layout(json.loads(layout), f"{shown}, collection {collection!r},")
        self._client.load_collection(collection)

    def close(self) -> None:
        self._client.close()

    def __len__(self) -> int:
        return self._client.query(self._collection, filter="", output_fields=["count(*)"])[0]["count(*)"]

    def _create(self, kinds) -> None:
        schema, indexes = self._client.create_schema(), self._client.prepare_index_params()
        schema.add_field("key", kinds.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("id", kinds.VARCHAR, max_length=65_535)
        schema.add_field("embedding", kinds.FLOAT_VECTOR, dim=self.dimension)
        indexes.add_index("embedding", index_type="HNSW", metric_type="COSINE", params={"M": 32, "efConstruction": 256})
        for name, column in self.columns.items():
            schema.add_field(column, kinds.VARCHAR, max_length=65_535, nullable=True, description=name)
            indexes.add_index(column, index_type="INVERTED")
        options = {"properties": {PROPERTY: json.dumps(self.layout)}, "consistency_level": "Strong"}  # reads see writes
        self._client.create_collection(self._collection, schema=schema, index_params=indexes, **options)

    def _known(self, ids):
        return {row["id"] for row in self._client.get(self._collection, ids=[*map(_key, ids)], output_fields=["id"])}

    def _insert(self, ids, vectors, table):
        self._write(self._client.insert, ids, vectors, table)

    def _update(self, ids, vectors, table):
        self._write(self._client.upsert, ids, vectors, table, partial_update=True)

    def _delete(self, ids):
        if known := self._known(ids):
            self._client.delete(self._collection, ids=list(map(_key, known)))
        return len(known)

    def _write(self, how, ids, vectors, table, **options):
        table = table.astype(object).where(table.notna(), None).rename(columns=self.columns)
        table = table.assign(key=list(map(_key, ids)), id=ids)
        if vectors is not None:
            table["embedding"] = list(vectors)
        for part in blocks(len(table), self._height):
            how(self._collection, table.iloc[part].to_dict("records"), **options)

    def _search(self, queries, k, wanted):
        columns = {"id": "id", **self.columns}
        options = {"limit": k, "output_fields": list(columns.values()), "search_params": {"params": {"ef": max(EF, k)}}}
        filters = " and ".join(f"{self.columns[name]} in {literal(values)}" for name, values in wanted.items())
        answers = self._client.search(self._collection, list(queries), filters, **options)
        hits = [(query, hit) for query, answer in enumerate(answers) for hit in answer]
        found = {name: [hit["entity"][column] for _, hit in hits] for name, column in columns.items()}
        return {**found, "query": [query for query, _ in hits], "similarity": [hit["distance"] for _, hit in hits]}


def literal(values: Sequence[str]) -> str:
    """Text as a list in a filter of Milvus, which knows these escapes and no line break within quotes."""
    escapes = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
    return "[" + ", ".join(f'"{value.translate(escapes)}"' for value in values) + "]"


def _key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
