"""What holds for every figure: names are drawn as they are written, nothing is cut off or lies on something else."""

import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fashionlib.evaluation.predict import Predictions
from fashionlib.metrics.classification import calibration_curve
from fashionlib.metrics.ranking import rank
from fashionlib.tasks import MultiLabel, SingleLabel
from seen import shaded, titles, unreadable, words_of
from study.figures import comparison, data, images, predictions, retrieval, style, training
from study.figures.panels import log_scale, name_points

UGLY = [
    "$hirt^2",
    "t_shirt $x$",
    "a\\b",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWW",
    "a kind with a very long name, longer than any place",
]
N = 48
RNG = np.random.default_rng(0)


def figures() -> dict:
    """Every figure by name, made of tiny tables that name their classes, models and tasks in UGLY ways."""
    table = pd.DataFrame({"kind": RNG.choice(UGLY, N), "item": np.arange(N) // 3, "words": "$a^b;fit:c_d"})
    table["many"] = [f"${k}^{k}" for k in np.minimum(np.arange(N), 20)]
    shown = shaded(table, [SingleLabel("kind"), MultiLabel("words")])
    tasks, rows = shown.catalogue.tasks, np.arange(N)
    wrong = np.eye(5)[RNG.integers(0, 5, N)]
    truth = {name: task.encode(shown.catalogue.table) for name, task in tasks.items()}
    seen = Predictions(tasks, rows, {"kind": wrong, "words": RNG.random((N, 2))}, truth)
    points = RNG.normal(size=(N, 4))
    ranking = rank(points[::2], points[1::2], table["item"][::2].to_numpy(), table["item"][1::2].to_numpy())
    many = pd.DataFrame(
        {"value": RNG.random(30), "row": UGLY * 6, "panel": np.repeat(UGLY[:3], 10), "k": np.arange(30)}
    )
    many = many.assign(mean=many["value"], ci_low=0.1, ci_high=0.9, task=many["panel"], metric="macro_f1", margin=0.01)
    once = many.drop_duplicates(["row", "panel"])
    history = pd.DataFrame(
        {"epoch": [1, 2, 3], "images_seen": [5, 10, 15], "stage": ["a_b", "$c$", "$c$"], "score": 0.5}
    )
    history = history.assign(**{f"loss/{UGLY[0]}": [3.0, 2.0, 0.1], f"{UGLY[0]}/accuracy": [0.1, 0.2, 0.3]})
    scatter = {"prevalence": RNG.uniform(0.01, 0.5, 60), "average_precision": RNG.uniform(0.1, 1, 60), "n_test": 20}
    attributes = pd.DataFrame(scatter | {"attribute": UGLY * 12, "group": UGLY[:3] * 20, "lift": RNG.random(60)})
    classes = pd.DataFrame(
        {"task": "t", "class": UGLY * 12, "f1": RNG.random(60), "n_train": RNG.integers(1, 5000, 60), "n_test": 9}
    )
    recall = pd.DataFrame({"scope": UGLY * 2, "k": [3] * 5 + [5] * 5, "recall": 0.7, "labels": 9, "members": 4})
    published = once.rename(columns={"row": "method"}).assign(comparable="6611 images; $x^2$ and what else", ours=False)
    suspects = pd.DataFrame(
        {"row": rows, "label": "kind", "given": table["kind"], "suggested": UGLY[3], "p_given": 0.5}
    )
    suspects["rank"] = rows + 1
    planted = pd.DataFrame({"row": rows[:8], "true": UGLY[0], "kind": ["any", "sibling"] * 4})
    groups = table.assign(row=rows, group=rows // 4, conflicts="kind; many")[:24]
    tags = pd.DataFrame({"task": UGLY, "label": UGLY[::-1], "confidence": 0.5})
    pixels = shown.pixels
    reliability = {name: calibration_curve(RNG.random(99), RNG.random(99) > 0.5) for name in UGLY[:2]}
    differences = once.rename(columns={"value": "difference", "row": "contrast"}).assign(verdict="higher")
    return {
        "class_balance": lambda: data.class_balance(shown.catalogue, ["kind", "many", "words"]),
        "catalogue_montage": lambda: data.catalogue_montage(shown, "kind", n=5),
        "duplicate_pairs": lambda: data.duplicate_pairs(shown, rows.reshape(-1, 2), ["kind", "many"]),
        "duplicate_groups": lambda: data.duplicate_groups(shown, groups),
        "suspect_montage": lambda: data.suspect_montage(shown, suspects),
        "planted_curve": lambda: data.planted_curve(suspects, planted),
        "image_montage": lambda: images.image_montage(pixels[:9], [f"{name}\n{name}" for name in UGLY * 2][:9]),
        "prediction_montage": lambda: images.prediction_montage(shown, seen),
        "attribute_montage": lambda: images.attribute_montage(shown, seen, "words", ["$a^b", "fit:c_d"]),
        "confusion_pairs": lambda: predictions.confusion_pairs(seen, "kind"),
        "calibration": lambda: predictions.calibration(reliability),
        "per_class_scatter": lambda: predictions.per_class_scatter(classes),
        "attribute_scatter": lambda: predictions.attribute_scatter(attributes),
        "recall_bars": lambda: predictions.recall_bars(recall),
        "retrieval_montage": lambda: retrieval.retrieval_montage(shown, rows[::2], rows[1::2], ranking),
        "recall_curve": lambda: retrieval.recall_curve({name: ranking for name in UGLY[:2]}),
        "embedding_map": lambda: retrieval.embedding_map(points[:, :2], table["kind"], commonest=3),
        "neighbours": lambda: retrieval.neighbours(
            pixels[0], tags, pixels[1:7], table[1:7].assign(similarity=0.5), ["kind", "many"]
        ),
        "training_curves of one": lambda: training.training_curves(history),
        "training_curves of several": lambda: training.training_curves({name: [history] * 2 for name in UGLY[:3]}),
        "curves": lambda: training.curves(many, "k", "value", "row", "panel", log=True),
        "trade-off": lambda: training.curves(once[:5], "k", "value", "panel", name="row"),
        "seed_dots": lambda: comparison.seed_dots(many, "value", "row", "panel"),
        "contrast_forest": lambda: comparison.contrast_forest(differences),
        "published_points": lambda: comparison.published_points(published),
    }  # fmt: skip


FIGURES = figures()
NAMELESS = ("planted_curve", "retrieval_montage")


@pytest.mark.parametrize("name", FIGURES)
def test_names_are_drawn_as_written_inside_the_page_and_apart(name):
    before = dict(mpl.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = FIGURES[name]()
        drawn = words_of(figure)
        assert not unreadable(figure, drawn)
    assert any("$" in text.get_text() for text in drawn) or name in NAMELESS
    assert not any(text.get_parse_math() for text in drawn if "$" in text.get_text())
    assert not any("mathdefault" in text.get_text() for text in drawn)
    assert dict(mpl.rcParams) == before


def test_fonts_that_are_here_are_asked_in_turn(monkeypatch):
    asked = []
    monkeypatch.setattr(style, "FONTS", ["no such family", "DejaVu Sans", "DejaVu Sans Mono"])
    styled = style.styled(lambda: asked.append(mpl.rcParams["font.family"]) or plt.figure())
    styled()
    assert asked == [["DejaVu Sans", "DejaVu Sans Mono"]]


@pytest.mark.parametrize("text", ["shirt", "W" * 40, "i" * 40, "two\nlines", "Ж" * 30])
def test_a_shortened_text_is_one_line_that_fits(text):
    short = style.shorten(text, 0.8)
    assert style.inches_of(short, style.SMALL) <= 0.8 and "\n" not in short
    assert short.endswith("…") == (len(text) > 20)


def test_metrics_in_words():
    names = ["macro_f1", "recall_at_10", "top3_accuracy", "top5_macro_f1", "hamming_loss"]
    assert [style.words(name) for name in names] == [
        "macro-F1", "Recall@10", "top-3 accuracy", "top-5 macro-F1", "hamming loss"
    ]  # fmt: skip


def test_names_of_a_crowd_are_moved_apart_and_stay_inside_the_same_every_time():
    points = np.exp(np.random.default_rng(0).uniform(np.log(0.001), np.log(0.3), (300, 2)))
    places = []
    for _ in range(2):
        figure, axes = plt.subplots(figsize=(6.3, 4))
        axes.scatter(*points.T)
        log_scale(axes, "x")
        log_scale(axes, "y")
        name_points(axes, [f"a long name {k}" for k in range(10)], points[:10], points)
        figure.canvas.draw()
        boxes = [text.get_window_extent() for text in axes.texts]
        assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
        frame = axes.get_window_extent().padded(1)
        assert all(frame.contains(*box.min) and frame.contains(*box.max) for box in boxes)
        places.append([text.get_position() for text in axes.texts])
    assert places[0] == places[1]


def test_a_logarithmic_axis_has_plain_numbers():
    figure, axes = plt.subplots()
    axes.plot([1, 20_000], [0.001, 1])
    log_scale(axes, "x")
    log_scale(axes, "y")
    drawn = {text.get_text() for text in words_of(figure)}
    assert {"1", "10,000", "0.001", "0.1"} <= drawn and titles(figure) == [""]
