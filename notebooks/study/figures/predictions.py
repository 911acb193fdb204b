"""Figures of predictions on test images: confusions, calibration, classes and attributes one by one, top-k recall."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from fashionlib.evaluation.predict import Predictions
from fashionlib.tasks.labels import known

from .panels import legend_above, log_scale, name_points, panels, row_panels, small_note
from .style import BLUE, GREY, SMALL, TEXT_WIDTH, VERMILION, look_of, shorten, styled
from .training import curves

TOTALS = {"pooled": "pooled over groups", "all": "all ranked together"}
NO_GROUP, FEW = "no group", 0.005


@styled
def confusion_pairs(predictions: Predictions, label: str, top: int = 12) -> Figure:
    """The part of the confusion matrix where most mistakes are: the ``top`` classes of the most frequent confusions,
    and a column for all others. Colour is the share of the true class, so that rows compare; numbers are images."""
    classes = predictions.classes(label)
    _, index, truth = known(*predictions.labels()[label])
    matrix = np.zeros((len(classes), len(classes)), int)
    np.add.at(matrix, (truth[truth >= 0], index[truth >= 0]), 1)
    wrong = matrix - np.diag(np.diag(matrix))
    pairs = np.argwhere(wrong)[np.argsort(-wrong[wrong > 0], kind="stable")]
    numbers = list(dict.fromkeys(pairs.ravel().tolist()))[:top] or list(range(len(classes)))[:top]
    counts = matrix[np.ix_(numbers, numbers)]
    counts = np.c_[counts, matrix[numbers].sum(1) - counts.sum(1)][:, : len(classes)]
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(TEXT_WIDTH, 1.9 + 0.36 * len(numbers))
    figure, axes = plt.subplots(figsize=(side, side * 0.86), layout="constrained")
    look = {"cmap": "Blues", "vmin": 0, "vmax": 1, "linewidths": 0.8, "fmt": ""}
    look |= {"annot_kws": {"fontsize": SMALL + 0.5}, "cbar_kws": {"label": "share of the true class", "shrink": 0.6}}
    sns.heatmap(share, annot=np.where(counts > 0, counts.astype(str), ""), ax=axes, **look)
    names, ticks = [shorten(classes[number], 1.2, 7) for number in numbers], np.arange(counts.shape[1]) + 0.5
    axes.set_xticks(ticks, [*names, "all others"][: len(ticks)], rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks[: len(names)], names, rotation=0)
    axes.tick_params(length=0)
    axes.set(xlabel=f"predicted {label}", ylabel=f"true {label}")
    return figure


@styled
def calibration(reliability: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray, float]]) -> Figure:
    """Reliability diagram of labels by name, each as ``metrics.calibration_curve`` gives it: accuracy against mean
    confidence, with the expected calibration error (ECE), beside the share of images at each confidence."""
    parts = []
    for name, (confidence, accuracy, share, error) in reliability.items():
        part = pd.DataFrame({"confidence": confidence, "accuracy": accuracy, "share of images": share})[share >= FEW]
        parts.append(part.assign(label=f"{name}: ECE {error:.3f}").melt(["label", "confidence"], var_name="panel"))
    figure = curves(pd.concat(parts).sort_values("panel", kind="stable"), "confidence", "value", "label", "panel")
    left, right = figure.axes
    left.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--")
    left.text(0.03, 0.97, "dashed: perfectly calibrated", fontsize=SMALL, color=GREY, va="top")
    left.set(ylim=(0, 1), xlim=(0, 1))
    right.set(xlim=(0, 1))
    log_scale(right, "y")
    small_note(figure, f"confidence: mean of the images in each tenth; without tenths of fewer than {FEW:.1%} of them")
    figure.set_figheight(3.4)
    return figure


@styled
def per_class_scatter(table: pd.DataFrame, named: int = 8) -> Figure:
    """F1 of every class against its training images (logarithmic), a panel for each task, with the median of classes
    of similar size; named are the classes of at least fifty training images that lie furthest from that median.

    ``table``: task, class, f1, n_test, n_train (``per_class_table``, and training counts); drawn is what has both."""
    parts = dict(list(table.query("n_train > 0 and n_test > 0").sort_values("n_train").groupby("task", sort=False)))
    figure, axes_of = panels(len(parts), 2.9, columns=2, sharey=True)
    far = {}
    for axes, (task, part) in zip(axes_of, parts.items(), strict=True):
        sns.scatterplot(part, x="n_train", y="f1", s=16, color=BLUE, alpha=0.65, linewidth=0, label="a class", ax=axes)
        middle = part["f1"].rolling(max(5, len(part) // 8), center=True, min_periods=1).median()
        line = middle.groupby(part["n_train"]).median()
        axes.plot(line.index, line, color=VERMILION, label="median of classes of similar size")
        known_well = part["n_train"] >= min(50, part["n_train"].max())
        far[task] = part.loc[(part["f1"] - middle).abs()[known_well].nlargest(named // len(parts)).index]
        axes.set(ylim=(-0.1, 1.1), title=f"{task}: {len(part)} classes", yticks=np.linspace(0, 1, 6))
        axes.set(xlabel="training images (log scale)", ylabel="F1 on test images")
        log_scale(axes, "x")
    legend_above(figure)
    for axes, (task, part) in zip(axes_of, parts.items(), strict=True):
        name_points(axes, far[task]["class"], *(rows[["n_train", "f1"]].to_numpy() for rows in (far[task], part)))
    return figure


@styled
def attribute_scatter(table: pd.DataFrame, named: int = 10) -> Figure:
    """Average precision of every attribute against its prevalence, both logarithmic, a colour and mark for each group;
    on the diagonal lies what a constant answer reaches. Of the attributes with at least ten test images the
    ``named / 2`` of largest and as many of smallest lift are named. ``table`` is that of ``attribute_table``;
    attributes without a test image are counted in the title. Raises ``ValueError`` if none has one."""
    part = table[table["average_precision"].notna()].fillna({"group": ""})  # an empty name is lost in a CSV file
    if part.empty:
        raise ValueError(f"attribute_scatter: none of the {len(table)} attributes has a test image")
    count = part["group"].value_counts()  # the largest group is drawn first, so that it does not hide a small one
    part = part.sort_values("group", key=lambda groups: -groups.map(count), kind="stable")
    place = {group: " " * k for k, group in enumerate(count.index)}  # names that look alike differ at their end
    keys = [f"{shorten(group or NO_GROUP, 1.2, 7)} ({count[group]}){place[group]}" for group in part["group"]]
    x, y = "prevalence", "average_precision"
    figure, axes = plt.subplots(figsize=(TEXT_WIDTH, 4.2), layout="constrained")
    sns.scatterplot(part, x=x, y=y, hue=keys, style=keys, s=20, alpha=0.75, linewidth=0, ax=axes, **look_of(keys))
    low, high = part[x].min() / 1.4, part[x].max() * 1.4
    axes.plot([low, high], [low, high], color=GREY, linestyle="--", linewidth=0.8, label="a constant answer")
    axes.set(xlim=(low, high), ylim=(part[y].min() / 1.6, max(high, part[y].max() * 1.6)))  # with room for names
    axes.set(xlabel="prevalence: share of test images with the attribute", ylabel="average precision")
    log_scale(axes, "x")
    log_scale(axes, "y")
    left_out = len(table) - len(part)
    axes.set_title(f"{len(part)} attributes" + (f", {left_out} more without a test image" if left_out else ""))
    axes.grid()
    legend_above(figure)
    often = part[part["n_test"] >= min(10, part["n_test"].max())].sort_values("lift", kind="stable")
    shown = pd.concat([often.head(named // 2), often.iloc[named // 2 :].tail(named - named // 2)])
    names = [name.removeprefix(f"{group}:") for name, group in zip(shown["attribute"], shown["group"], strict=True)]
    name_points(axes, names, shown[[x, y]].to_numpy(), part[[x, y]].to_numpy())
    return figure


@styled
def recall_bars(table: pd.DataFrame) -> Figure:
    """Top-k recall as bars, a panel for each k: the groups above, and below a line the two readings over all groups,
    "pooled" and "all". A group of k or fewer attributes has a recall of 1 whatever the model says: it gets no bar.
    ``table`` is that of ``metrics.top_k_recall`` (scope, k, recall, labels) with a column ``members``, the number of
    attributes of each group, and a column ``model`` where several are compared."""
    table = table.fillna({"scope": ""})  # an empty name is lost in a CSV file
    table = table if "model" in table else table.assign(model="")
    ks, models, scopes = (list(dict.fromkeys(table[name])) for name in ("k", "model", "scope"))
    groups = [scope for scope in scopes if scope not in TOTALS]
    scopes = groups + [scope for scope in TOTALS if scope in scopes]
    labels = table.groupby("scope")["labels"].max()
    names = [f"{TOTALS.get(scope) or shorten(scope or NO_GROUP, 1.2, 7)} ({labels[scope]:,})" for scope in scopes]
    figure, axes_of = row_panels(names, len(ks), 0.4 + len(scopes) * (0.11 + 0.13 * len(models)))
    look = {"order": scopes, "hue_order": models, "palette": look_of(models)["palette"], "saturation": 1}
    for axes, k in zip(axes_of, ks, strict=True):
        part = table[table["k"] == k]
        certain = part["scope"].isin(groups) & (part["members"] <= k)
        bars = {"x": "recall", "y": "scope", "hue": "model", "orient": "h", "legend": False, **look}
        sns.barplot(part[~certain], ax=axes, **bars)
        for bar, model in zip(axes.containers, models, strict=False):
            bar.set_label(model)
            axes.bar_label(bar, fmt="{:.3f}", padding=2, fontsize=SMALL)
        for scope in set(part.loc[certain, "scope"]):
            axes.text(0.01, scopes.index(scope), "1 by construction", fontsize=SMALL, color=GREY, va="center")
        axes.axhline(len(groups) - 0.5, color=GREY, linewidth=0.6)
        axes.set(title=f"top-{k} recall", xlabel="", ylabel="", xlim=(0, 1.15), xticks=np.linspace(0, 1, 6))
        axes.set_yticks(range(len(scopes)), names)
    if models != [""]:
        legend_above(figure)
    small_note(figure, "recall: share of the true labels (their number in brackets) among the k best of an image")
    return figure
