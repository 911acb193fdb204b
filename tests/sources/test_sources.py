"""What a name opens, and what is left where datasets' readers were deleted."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fashionlib
from fashionlib.sources import DATASETS, open_catalogue


def test_names_and_roots_that_are_needed():
    with pytest.raises(ValueError, match="'shoes': no dataset, folder or table .*; there are products, deepfashion"):
        open_catalogue("shoes")
    for name in DATASETS:
        with pytest.raises(ValueError, match=f"open_catalogue.'{name}', root.: root is needed"):
            open_catalogue(name)


def test_a_copy_without_the_readers_of_datasets_opens_tables_and_folders(tmp_path, encode):
    copy = tmp_path / "copy" / "fashionlib"
    shutil.copytree(Path(fashionlib.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__", "shop"))
    for file in (copy / "sources").iterdir():
        if file.name not in ("__init__.py", "table.py", "folder.py"):
            file.unlink()
    photos = tmp_path / "photos"
    (photos / "dress").mkdir(parents=True)
    for k in range(8):
        (photos / "dress" / f"{k}.jpg").write_bytes(encode([[[30 * k] * 3] * 24] * 32))
    rows = "".join(f"photos/dress/{k}.jpg,dress\n" for k in range(8))
    (tmp_path / "my.csv").write_text(f"image,kind\n{rows}")
    code = """
from fashionlib.sources import open_catalogue
print(len(open_catalogue("photos")), len(open_catalogue("my.csv", category="kind")))
for name in ("products", "deepfashion-attributes", "deepfashion-inshop"):
    try:
        open_catalogue(name, ".")
    except ValueError as error:
        print(error)
"""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(copy.parent)!r}){code}"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0] == "8 8"
    assert [line.split(":")[0] for line in said[1:]] == list(DATASETS)
    assert all("this copy of the library has no fashionlib.sources." in line for line in said[1:])
