"""Judgements made by hand."""

import numpy as np
import pandas as pd

from fashionlib.data.catalogue import Catalogue
from fashionlib.shop.cleaning import OutOfFold
from fashionlib.tasks import SingleLabel
from tiny import NoFiles

NAN = float("nan")


def judged(given, classes, probabilities, label="kind") -> OutOfFold:
    table = pd.DataFrame({"image": [f"{k}.png" for k in range(len(given))], label: given, "split": "train"})
    catalogue = Catalogue(table.astype(object), [SingleLabel(label)], NoFiles(), "tiny")
    said = pd.DataFrame(probabilities, columns=list(classes), dtype=np.float32)
    return OutOfFold(catalogue, np.zeros(len(given), int), {label: said})


def some() -> OutOfFold:
    """Row 3 has no label; the network of row 4 knows no shoe, which is what the row is given, that of row 5 no bag."""
    given = ["bag", "hat", "hat", None, "shoe", "shoe"]
    values = [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.05, 0.5, 0.45], [0.1, 0.1, 0.8], [0.5, 0.5, NAN], [NAN, 0.9, 0.1]]
    return judged(given, ("bag", "hat", "shoe"), values)
