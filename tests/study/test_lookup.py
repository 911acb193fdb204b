"""A photo is looked up: its tags, what is most similar, and what an unreadable one says."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fashionlib.shop.index import open_index
from fashionlib.shop.tagging import Tagger
from study.lookup import Lookup
from study.tables import agreement
from tiny import tiny_data, tiny_model


def jpeg(pixels: np.ndarray) -> bytes:
    Image.fromarray(pixels).save(file := io.BytesIO(), "png")
    return file.getvalue()


@pytest.fixture
def lookup() -> Lookup:
    data = tiny_data()
    tagger = Tagger(tiny_model(data, "gender", "words"), "tiny")
    pixels = data.pixels[data.position]
    vectors = np.stack(tagger.embed((str(row), one) for row, one in enumerate(pixels))["embedding"])
    index = open_index(None, dimension=tagger.dimension, model_id="tiny", attributes=["gender"])
    index.insert(data.catalogue.table["image"], vectors, data.catalogue.table[["gender"]])
    return Lookup(tagger, index, data, ["gender"])


def test_a_photo_finds_itself_first(lookup):
    photo = jpeg(lookup.data.pixels[lookup.data.position[5]])
    tags, figure = lookup.ask(photo, "five.png", k=3)
    assert tags["image"].tolist() == ["five.png"] and {"gender", "words"} <= set(tags)
    pictures = [axes for axes in figure.axes if axes.images]
    assert len(pictures) == 1 + 3 and "1.00" in [text.get_text() for text in pictures[1].texts]


def test_a_text_is_no_photo(lookup):
    with pytest.raises(ValueError, match="letter.jpg"):
        lookup.ask(b"not a photo", "letter.jpg")


def test_agreement_leaves_out_the_image_itself():
    vectors = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    table = pd.DataFrame({"kind": ["a", "a", "b", "b"], "mixed": ["a", None, "b", "a"]})
    found = agreement(vectors, table, np.arange(4), k=1)
    assert found.to_dict() == {"kind": 1.0, "mixed": 0.0}
