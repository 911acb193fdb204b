"""Blocks of README are rendered from tables."""

import pandas as pd
import pytest

from study import readme
from study.readme import cell, markdown, render


def test_markdown_shows_text_as_it_is():
    assert cell("a|b*c_d`<e>\n[f]\\") == r"a\|b\*c\_d\`\<e\> \[f\]\\"
    frame = pd.DataFrame({"class": ["NA", "R|D"], "share": [1 / 3, None], "n": pd.array([3, None], "Int64")})
    lines = ["| class | share | n |", "| --- | --- | --- |", "| **NA** | 0.3333 | 3 |", r"| **R\|D** |  |  |"]
    assert markdown(frame, bold="class").splitlines() == lines


def test_blocks_are_made_anew_and_what_is_around_them_stays(monkeypatch):
    monkeypatch.setattr(readme, "answer", answer := lambda: "two hours")
    answer.__name__ = "answer"
    text = "before\n<!-- answer -->\none hour\n<!-- /answer -->\nafter"
    assert render(text) == text.replace("one hour", "two hours") == render(render(text))
    with pytest.raises(KeyError, match="weather"):
        render("<!-- weather -->\nrain\n<!-- /weather -->")
