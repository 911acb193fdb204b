"""Blocks of README are rendered from tables."""

import pandas as pd
import pytest

from study import readme
from study.readme import FEATURES, cell, markdown, render, verdict


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


def test_the_answer_names_each_kind_of_control_once_with_its_differences():
    row = {"contrast": "H1", "task": "category", "metric": "accuracy", "margin": 0.01, "n_seeds": 2}
    row |= {"difference": -0.025, "ci_low": -0.032, "ci_high": -0.018, "verdict": "inferior"}
    speeds = pd.DataFrame({"what": ["one network", "three networks"], "images_per_second": [90.0, 30.0]})
    against = ["category, shuffled images", "labels alone", "retrieval, pairs alone", FEATURES]
    tasks, metrics = ["category", "category", "item", "item"], ["accuracy", "accuracy", "recall_at_1", "recall_at_1"]
    gaps = pd.DataFrame({"configuration": "joint", "against": against, "task": tasks, "metric": metrics, "n_seeds": 5})
    gaps["difference"] = [-0.01, -0.02, -0.03, 0.04]
    gaps = gaps.assign(ci_low=gaps["difference"] - 0.001, ci_high=gaps["difference"] + 0.001)
    first, planned, own, labels, features = verdict(pd.DataFrame([row]), speeds, gaps).split("\n")
    assert all(text in first for text in ("3.0 times", "inferior in category", "-2.5", "-1.0, -3.0"))
    assert "-2.5 (-3.2 to -1.8; margin 1)" in planned and "seeds: 5" in own and "seeds" not in features
    assert [text in own for text in ("-1.0", "-3.0", "-2.0", "+4.0")] == [True, True, False, False]
    assert "-2.0" in labels and "+4.0" in features and FEATURES in features
