"""One progress bar for a terminal, JupyterLab and a log."""

import os
import sys
from collections.abc import Iterable


def progress(iterable: Iterable | None = None, *, total: int | None = None, what: str = "", unit: str = "it"):
    """A tqdm bar: a widget in a notebook, a line in a terminal, nothing in a log (where ``fit`` prints a line an
    epoch instead) or where ``TQDM_DISABLE=1`` says that nobody watches. It vanishes when done."""
    from tqdm.auto import tqdm

    shown = ("ipykernel" in sys.modules or sys.stdout.isatty()) and os.environ.get("TQDM_DISABLE", "0") in ("", "0")
    look = {"desc": what, "unit": unit, "leave": False, "file": sys.stdout, "mininterval": 0.5}
    return tqdm(iterable, total=total, disable=not shown, **look)
