"""A child of test_copy: ``copied_study.py FOLDER``, where ``FOLDER/vision/fashionlib`` is a copy of the library.

Draws photos, writes a table of them, and runs the example of the package's docstring there, on an interpreter that has
only the core dependencies; without the last line where the copy has no ``shop``. Leaves ``facts.json``.
"""

import json
import os
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

MISSING = {
    *("albumentations", "pymilvus", "milvus_lite", "lancedb", "faiss", "ray", "imagehash", "huggingface_hub.hf_api"),
    *("matplotlib", "seaborn", "papermill", "jupyterlab", "ipywidgets", "playwright", "pandas.plotting._matplotlib"),
    "fashionlib",  # the library as it is installed here: only the copy may be used
}
KINDS = {"dress": (60, 20, 20, 10), "shirt": (20, 20, 60, 40), "shoe": (5, 60, 50, 15)}  # left, top, width, height


class Missing(MetaPathFinder):
    """Makes installed libraries look as if they were not."""

    def find_spec(self, name, path=None, target=None):
        if name in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def draw_photos() -> None:
    """72 photos in ``photos`` and their ``my.csv``, in which some cells are empty; four and a broken file in
    ``new photos``."""
    from PIL import Image, ImageDraw

    rows = ["image,type,pattern,sleeve"]
    for folder in ("photos", "new photos"):
        Path(folder).mkdir()
    for number in range(76):
        kind, striped = list(KINDS)[number % 3], number % 2
        image = Image.new("RGB", (90, 120), "white")
        left, top, width, height = KINDS[kind]
        shape = (left, top, left + width // 2 + number % 7, top + 2 * height)
        ImageDraw.Draw(image).rectangle(shape, fill=(200, 40 + number, 60))
        for y in range(shape[1], shape[3], 6) if striped else ():
            ImageDraw.Draw(image).line((shape[0], y, shape[2], y), fill="black", width=2)
        image.save(f"{'photos' if number < 72 else 'new photos'}/{number:02}.jpg")
        if number < 72:
            sleeve = "" if kind == "shoe" else ("short" if number % 4 < 2 else "long")
            rows.append(f"{number:02}.jpg,{kind},{'striped' if striped else 'plain'},{sleeve}")
    Path("new photos/broken.jpg").write_bytes(b"not a photo")
    Path("my.csv").write_text("\n".join(rows) + "\n")


def example(docstring: str) -> list[str]:
    """The indented lines after the first ``::`` of a docstring, from scratch and with a smaller network."""
    lines = docstring.split("::\n", 1)[1].splitlines()
    end = next(k for k, line in enumerate(lines) if line and not line.startswith("    "))
    program = "\n".join(line[4:] for line in lines[:end]).replace("from fashionlib", "from vision.fashionlib")
    program = program.replace('"tf_efficientnet_lite0"', '"test_efficientnet"').replace(', weights="pretrained"', "")
    return program.replace("batch_size=64", "batch_size=16").replace("epochs=4", "epochs=1").splitlines()


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    sys.path[:] = [os.getcwd(), *(path for path in sys.path[1:] if path)]
    sys.meta_path.insert(0, Missing())
    draw_photos()

    from vision import fashionlib

    whole, names = (Path("vision/fashionlib/shop")).exists(), {}
    program = [line for line in example(fashionlib.__doc__) if whole or "Tagger.load" not in line]
    exec("\n".join(program).replace("Tagger, ", "Tagger, " if whole else ""), names)
    facts = {
        "where": fashionlib.__file__,
        "epochs": len(names["run"].history),
        "metrics": names["predict"](names["run"].model, names["data"], "test").metrics(),
        "loaded": sorted(MISSING & set(sys.modules)),
    }
    if whole:
        names["Tagger"].load("runs/mine/model.pth").tag("new photos").to_json("tags.json", orient="records")
    Path("facts.json").write_text(json.dumps(facts))
