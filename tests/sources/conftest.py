"""Fixtures of the tests of sources."""

import pytest

from releases import IMAGES, picture


@pytest.fixture
def tree(tmp_path, encode):
    """Writes a release: ``tree(COARSE, images, folder)``, the images as PNG so that pixels stay as they are."""

    def make(files, images=IMAGES, at="Img/", root=tmp_path / "release"):
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        for k, image in enumerate(images):
            path = root / at / image
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(picture(k), "PNG"))
        return root

    return make
