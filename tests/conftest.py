"""Fixtures that several test files share."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fashionlib.data.catalogue import Catalogue
from fashionlib.data.images import FolderImages, ImageData, cache_images
from fashionlib.machine.hardware import Arithmetic
from fashionlib.tasks import SingleLabel
from study.drawn import open_drawn
from tiny import tiny_data, tiny_model

torch.set_num_threads(1)  # as many as anywhere, so that nothing depends on how many tests run at a time


def pytest_addoption(parser):
    parser.addoption("--screenshots", metavar="DIR", help="where the browser tests leave their pictures")


def pytest_collection_modifyitems(items):
    """The files that take longest come first, so that several workers end at about the same time."""
    slow = [
        "test_notebooks.py",
        "test_processes.py",
        "test_notebooks_deepfashion.py",
        "test_browser.py",
        "test_scale.py",
    ]
    slow += ["test_bulk.py", "test_copy.py", "test_run_all.py", "test_fit.py", "test_resume.py", "test_index.py"]
    items.sort(key=lambda item: slow.index(item.path.name) if item.path.name in slow else len(slow))


@pytest.fixture(scope="session")
def garments(tmp_path_factory) -> ImageData:
    """60 drawn products, about 180 images of 24 x 32 pixels, in a cache of their own."""
    return cache_images(open_drawn(items=60, size=(24, 32)), (24, 32), tmp_path_factory.mktemp("garments"))


@pytest.fixture(scope="session")
def trained():
    """A tiny model whose batch norms have seen the data, and the data."""
    data = tiny_data()
    model = tiny_model(data).compute_in(Arithmetic())
    with torch.no_grad():
        for _ in range(10):
            model(data.fetch(np.arange(32)))
    return model, data


@pytest.fixture(autouse=True)
def close_figures():
    """Figures that a test leaves open are closed after it."""
    yield
    if plots := sys.modules.get("matplotlib.pyplot"):
        plots.close("all")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real datasets; the test is skipped without it."""
    root = os.environ.get("FASHION_DATA")
    if not root:
        pytest.skip("FASHION_DATA is not set: no real data to read")
    if not (Path(root) / "fashion-product-images-small").is_dir():
        pytest.skip(f"no fashion-product-images-small in FASHION_DATA ({root})")
    return Path(root)


@pytest.fixture(scope="session")
def encode():
    """Makes an image file's bytes from its pixels: ``encode(pixels, "PNG", **options)``."""

    def make(pixels, kind: str = "JPEG", **options) -> bytes:
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels, np.uint8))
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    return make


@pytest.fixture
def photo_folder(tmp_path):
    """Makes a catalogue of image files: ``photo_folder({"a.jpg": bytes, "gone.jpg": None})``; None writes no file."""

    def make(files: dict[str, bytes | None], root: Path = tmp_path / "photos") -> Catalogue:
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            if content is not None:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(content)
        table = pd.DataFrame({"image": list(files), "kind": "shirt", "split": "train"})
        return Catalogue(table, [SingleLabel("kind")], FolderImages(root), "photos")

    return make
