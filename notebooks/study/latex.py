"""A DataFrame as a LaTeX table."""

import numpy as np
import pandas as pd

ESCAPES = {character: "\\" + character for character in "&%$#_{}"} | {"[": "{[}", "]": "{]}"}  # \\[ takes an argument
NAMES = {"\\": "backslash", "~": "asciitilde", "^": "asciicircum", "|": "bar", "<": "less", ">": "greater"}
ESCAPES |= {character: rf"\text{name}{{}}" for character, name in NAMES.items()} | {"\n": " ", "\r": " "}
ROWS_ON_A_PAGE = 40


def escape(text: object) -> str:
    """Text that LaTeX prints as it is."""
    return str(text).translate(str.maketrans(ESCAPES))


def latex_table(frame: pd.DataFrame, caption: str = "", label: str | None = None) -> str:
    """The table as LaTeX that needs booktabs, and longtable where it is longer than a page. The numbers of a column
    have the same decimals; missing values are a dash."""
    small = "footnotesize" if frame.shape[1] > 7 else "small"
    style = frame.reset_index(drop=True).style.hide(axis="index").format_index(escape, axis=1)
    style = style.format({name: _format(frame[name]) for name in frame}, na_rep="--")
    options = {"hrules": True, "caption": escape(caption) or None, "label": label}
    if len(frame) > ROWS_ON_A_PAGE:
        return f"{{\\{small}\n{style.to_latex(environment='longtable', **options)}}}\n"
    style = style.set_table_styles([{"selector": small, "props": ":"}])
    return style.to_latex(position="htbp", position_float="centering", **options)


def _format(column: pd.Series):
    """How a cell is printed: text as it is, a number with four significant digits of the column's largest."""
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return escape
    sizes = column.abs().replace(np.inf, np.nan).dropna()
    digits = 0 if sizes.max() <= 1 else len(f"{sizes.max():.0f}")
    form = "{:.4g}" if (sizes[sizes > 0] < 1e-3).any() else f"{{:.{max(4 - digits, 0)}f}}"
    form = "{:.0f}" if (sizes == sizes.round()).all() else form
    return lambda number: form.format(number).replace("-", "$-$")
