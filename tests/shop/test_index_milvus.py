"""What only a Milvus server has: an address, requests, a language of filters. Its answers are tested in test_index."""

import pytest

from fashionlib.shop.index import open_index
from fashionlib.shop.index_milvus import literal


def test_a_server_that_does_not_answer_is_a_connection_error_without_its_password():
    pytest.importorskip("pymilvus")
    with pytest.raises(ConnectionError, match="no Milvus at http://127.0.0.1:9 ") as failed:
        open_index("http://someone:secret@127.0.0.1:9", dimension=8, model_id="m", token="a:key")
    assert "secret" not in str(failed.value)


def test_text_ends_where_it_ends():
    assert literal(['a"] or x in ["', "b\\", "c\n"]) == '["a\\"] or x in [\\"", "b\\\\", "c\\n"]'
