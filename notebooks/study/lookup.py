"""A small application: upload a photo, see its tags and the items that are most similar to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fashionlib.data.images import ImageData
from fashionlib.shop.index import Index
from fashionlib.shop.photos import read_photo
from fashionlib.shop.tagging import Rules, Tagger, tag_table
from fashionlib.tasks import MultiLabel

from .figures.retrieval import neighbours


@dataclass(frozen=True)
class Lookup:
    """Photos against a catalogue: a tagger, an index whose ids are the names of the images of ``data``, and which of
    its attributes are written below an image."""

    tagger: Tagger
    index: Index
    data: ImageData
    shown: Sequence[str]

    def ask(
        self, photo: bytes, name: str = "photo", where: Mapping | None = None, k: int = 8
    ) -> tuple[pd.DataFrame, Figure]:
        """From the bytes of a file: its tags in one row, and a figure of them beside the k most similar items that have
        what ``where`` asks for. Raises ``ValueError`` that says why a photo cannot be read."""
        tags, vectors = next(self.tagger.stream([(name, photo)], Rules(), embeddings=True))
        if vectors["error"].notna().any():
            raise ValueError(vectors["error"].iloc[0])
        found = self.index.search(np.stack(vectors["embedding"]), k, where)
        print(f"most similar to {name}{f' with {where}' if where else ''}: {len(found)} items")
        rows = pd.Index(self.data.catalogue.table["image"].astype(str)).get_indexer(found["id"])
        images, pixels = self.data.fetch(rows).numpy(), read_photo(name, photo, self.data.size)
        several = [task.name for task in self.tagger.tasks if isinstance(task, MultiLabel)]
        single = tags[~tags["task"].isin(several)]
        return tag_table(tags), neighbours(pixels, single, images, found, self.shown, where or ())

    def button(self):
        """A button to choose a photo with, and below it the answer: a widget of JupyterLab."""
        import ipywidgets as widgets
        import matplotlib.pyplot as plt
        from IPython.display import display

        upload, answer = widgets.FileUpload(accept=".jpg,.jpeg,.png,.webp", description="Your photo"), widgets.Output()

        def look_up(change) -> None:
            with answer:
                answer.clear_output(wait=True)
                for file in change["new"]:
                    try:
                        tags, figure = self.ask(bytes(file["content"]), file["name"])
                        display(tags, figure)
                        plt.close(figure)  # else the kernel draws it a second time, at the same time
                    except ValueError as error:
                        print(error)

        upload.observe(look_up, "value")
        return widgets.VBox([upload, answer])
