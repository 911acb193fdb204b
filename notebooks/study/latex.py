"""A DataFrame as a booktabs table."""

from __future__ import annotations

import numpy as np
import pandas as pd

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after \\ it would begin an optional argument
    "]": "{]}",
    "\n": " ",
    **{character: "\\" + character for character in "&%$#_{}"},
}
ROWS_ON_A_PAGE = 40


def escape(text: object) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(SPECIAL.get(character, character) for character in str(text))


def latex_table(frame: pd.DataFrame, caption: str = "", label: str = "") -> str:
    """The table as LaTeX that needs booktabs, and longtable where it is longer than a page. Numbers are aligned right,
    the floats of a column have the same number of decimals; missing values are a dash. With a caption it floats."""
    columns = "".join("r" if pd.api.types.is_numeric_dtype(dtype) else "l" for dtype in frame.dtypes)
    head = " & ".join(escape(name) for name in frame.columns) + r" \\"
    cells = [_cells(frame.iloc[:, k]) for k in range(frame.shape[1])]
    body = [" & ".join(row) + r" \\" for row in zip(*cells, strict=True)]
    title = rf"\caption{{{escape(caption)}}}" + (rf"\label{{{label}}}" if label else "")
    size = r"\footnotesize\setlength{\tabcolsep}{3pt}" if len(columns) > 7 else r"\small"
    if len(body) > ROWS_ON_A_PAGE:
        lines = [
            "% needs booktabs and longtable",
            rf"{{{size}",
            rf"\begin{{longtable}}{{{columns}}}",
            *([title + r" \\"] if caption else []),
            *[r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"],
            *body,
            *[r"\end{longtable}", "}"],
        ]
        return "\n".join(lines) + "\n"
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if caption:
        lines = [r"\begin{table}[htbp]", r"\centering", size, title, *lines, r"\end{table}"]
    return "\n".join(["% needs booktabs", *lines]) + "\n"


def _cells(column: pd.Series) -> list[str]:
    if not pd.api.types.is_float_dtype(column):
        return ["--" if pd.api.types.is_scalar(v) and pd.isna(v) else _minus(escape(v), v) for v in column]
    values = column.to_numpy(float, na_value=np.nan)
    form = _format(np.abs(values[np.isfinite(values)]))
    return ["--" if np.isnan(v) else _minus(form.format(v), v) for v in values]


def _format(sizes: np.ndarray) -> str:
    """Four significant digits of the largest value, the same decimals for all."""
    if (sizes == np.round(sizes)).all():
        return "{:.0f}"
    if sizes[sizes > 0].min() < 1e-3:
        return "{:.4g}"
    digits = 0 if sizes.max() <= 1 else int(np.log10(sizes.max())) + 1
    return f"{{:.{max(4 - digits, 0)}f}}"


def _minus(text: str, value: object) -> str:
    negative = isinstance(value, int | float | np.number) and value < 0
    return f"$-${text.removeprefix('-')}" if negative else text
