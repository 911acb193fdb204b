"""How a catalogue's items lie in a Milvus collection: its fields, indexes and partitions, and what it says of itself.

Attributes are fields ``attribute_0``, ``attribute_1``, ... that may be null, because a field's name allows less than a
column's. Their names, the model and the dimension are kept as JSON in the collection's property ``fashionlib``.

milvus-lite goes through every item of the partitions that a search names, in Python, which takes longer than comparing
them. So an index in a folder keeps its items in partitions by their first attribute, and a search that filters on it
names those of its values.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence

PROPERTY = "fashionlib"
# On unit-length vectors the inner product is the cosine. milvus-lite compares all items that pass the filter: its graph
# index loses neighbours when few pass, and its time goes into other things. A server falls back to comparing by itself.
EMBEDDED = {"index_type": "FLAT", "metric_type": "IP"}
SERVER = {"index_type": "HNSW", "metric_type": "IP", "params": {"M": 32, "efConstruction": 256}}
PARTITIONS = tuple(f"part_{number}" for number in range(16))  # of an index in a folder; each is a file or more


def attribute_fields(attributes: Sequence[str]) -> dict[str, str]:
    """The field of each attribute, in the order in which the collection was made."""
    return {name: f"attribute_{number}" for number, name in enumerate(attributes)}


def create_collection(client, collection: str, layout: dict, embedded: bool) -> None:
    """Make a collection for a ``layout``: its model_id, dimension and attributes."""
    from pymilvus import DataType

    text = {"datatype": DataType.VARCHAR, "max_length": 65535}
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", is_primary=True, **text)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=layout["dimension"])
    indexes = client.prepare_index_params()
    indexes.add_index("embedding", **(EMBEDDED if embedded else SERVER))
    for name, field in attribute_fields(layout["attributes"]).items():
        schema.add_field(field, nullable=True, description=name, **text)
        indexes.add_index(field, index_type="INVERTED")
    client.create_collection(
        collection,
        schema=schema,
        index_params=indexes,
        properties={PROPERTY: json.dumps(layout)},
        consistency_level="Strong",  # a search sees what was written before it
    )
    for partition in PARTITIONS if embedded and layout["attributes"] else ():
        client.create_partition(collection, partition)


def layout_of(client, collection: str, expected: dict, where: str) -> dict:
    """The layout of a collection that is there. Raises ``ValueError`` if it is not the ``expected`` one, but for the
    order of its attributes, or the collection is not of this library."""
    found = client.describe_collection(collection).get("properties", {}).get(PROPERTY)
    if found is None:
        raise ValueError(f"{where}: the collection {collection!r} is not of fashionlib; name another")
    there = json.loads(found)
    what = f"{where}: the index holds embeddings"
    todo = "build it anew from the items, or open another file or collection"
    if there["model_id"] != expected["model_id"]:
        raise ValueError(f"{what} of the model {there['model_id']!r}, yours is {expected['model_id']!r}; {todo}")
    if there["dimension"] != expected["dimension"]:
        raise ValueError(f"{what} of {there['dimension']} values, yours have {expected['dimension']}; {todo}")
    if set(there["attributes"]) != set(expected["attributes"]):
        had, have = (", ".join(names) or "none" for names in (there["attributes"], expected["attributes"]))
        raise ValueError(f"{where}: the index has the attributes {had}; you name {have}. Name those, or {todo}")
    return there


def is_partitioned(client, collection: str) -> bool:
    """Whether its partitions were all made, the last one too; a making that was cut short leaves an index without."""
    return client.has_partition(collection, PARTITIONS[-1])


def partition_of(value: str | None) -> str:
    """The partition of the items with this value of the first attribute."""
    return PARTITIONS[zlib.crc32((value or "").encode()) % len(PARTITIONS)]


def literal(values: Sequence[str]) -> str:
    """Text as a list in a filter of Milvus, which knows these escapes and no line break within quotes."""
    escapes = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
    return "[" + ", ".join(f'"{value.translate(escapes)}"' for value in values) + "]"
