"""Configurations compared on the same test images: one network a task against one for all.

Two things vary, and they are kept apart. The *test images* are a sample: their interval comes from resampling them, a
paired one for a difference. *Training* ends elsewhere with every seed: that is the standard deviation over seeds. An
interval here holds only the first, so a difference outside of it may still be one of luck in training, if it is no
larger than the standard deviations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..metrics.attributes import draw_images, percentile_interval, resampled_maps, without_bias
from .outcomes import Outcome
from ..metrics.ranking import mean_intervals

MAP_REPEATS = 200  # each goes over all images for every class
ROUNDING = 1e-12  # a bound that is zero but for rounding lies on no side of it
Outcomes = Mapping[str, Sequence[Mapping[str, Outcome]]]  # configuration -> seeds -> task


def comparison_table(outcomes: Outcomes, repeats: int = 1000, seed: int = 0) -> pd.DataFrame:
    """One row per configuration, task and metric: configuration, task, metric, mean and std over seeds, ci_low,
    ci_high, n_seeds.

    The interval is the 95% bootstrap interval of the mean over seeds (Efron, 1979), and holds the choice of the *test
    images* (or items) alone: an image's value is averaged over the seeds, then images are resampled; ``map`` is
    measured on the same resampled images in every seed, in at most 200 resamples, and freed of the bootstrap's bias.
    What *training* varies is not in it, but in std, the standard deviation over seeds. Metrics that are neither a mean
    nor ``map``, like macro_f1, have no interval, one seed has no std: both are NaN.

    Raises ``ValueError`` if the seeds of a configuration were not measured on the same images by the same metrics.
    """
    rows = []
    for configuration, runs in outcomes.items():
        for task in dict.fromkeys(task for run in runs for task in run):
            found = _seeds(outcomes, configuration, task)
            values, maps = _over_seeds(found, repeats, seed)
            intervals = _intervals(values, maps, found[0].groups, repeats, seed)
            for metric in found[0].metrics:
                points = np.array([outcome.metrics[metric] for outcome in found])
                std = points.std(ddof=1) if len(points) > 1 else np.nan
                low, high = intervals.get(metric, (np.nan, np.nan))
                row = {"configuration": configuration, "task": task, "metric": metric, "mean": points.mean()}
                rows.append({**row, "std": std, "ci_low": low, "ci_high": high, "n_seeds": len(points)})
    return pd.DataFrame(rows)


def difference_table(
    outcomes: Outcomes, against: Mapping[str, str], repeats: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """How far every configuration is above the one that ``against`` names for a task: one row per task, other
    configuration that has it, and metric that is a mean or ``map``: configuration, against, task, metric, difference
    (of the means over seeds), ci_low, ci_high, n_seeds (of the two the fewer).

    The interval is that of a paired bootstrap: both are measured on the same resampled images, so what makes an image
    hard for both does not widen it. As in ``comparison_table`` it holds the test images, not the training.

    Raises ``ValueError`` if the test images differ, or a configuration that ``against`` names lacks the task.
    """
    rows = []
    for task, reference in against.items():
        base = _seeds(outcomes, reference, task)
        if not base:
            raise ValueError(f"{reference}, {task}: there is no outcome to compare against; name one that has the task")
        base_values, base_maps = _over_seeds(base, repeats, seed)
        for configuration in outcomes:
            found = _seeds(outcomes, configuration, task)
            if configuration == reference or not found:
                continue
            if differ := _differ(found[0], base[0]):
                raise ValueError(f"{configuration}, {task}: it has {differ} than {reference}; predict the same images")
            values, maps = _over_seeds(found, repeats, seed)
            above = {name: values[name] - base_values[name] for name in values if name in base_values}
            maps = None if maps is None or base_maps is None else maps - base_maps
            for metric, (low, high) in _intervals(above, maps, base[0].groups, repeats, seed).items():
                first, second = (np.mean([outcome.metrics[metric] for outcome in side]) for side in (found, base))
                row = {"configuration": configuration, "against": reference, "task": task, "metric": metric}
                row |= {"difference": first - second, "ci_low": low, "ci_high": high}
                rows.append({**row, "n_seeds": min(len(found), len(base))})
    columns = ("configuration", "against", "task", "metric", "difference", "ci_low", "ci_high", "n_seeds")
    return pd.DataFrame(rows, columns=columns)


def verdict(differences: pd.DataFrame, metric_of: Mapping[str, str]) -> pd.DataFrame:
    """One row per configuration and task of ``metric_of``, for the metric named there: configuration, against, task,
    metric, difference, ci_low, ci_high, and verdict: "above" or "below" where the whole interval lies on that side of
    zero, else "within", which says that these test images do not tell the two apart, not that they are equal.
    ``differences`` is a ``difference_table``.

    Raises ``ValueError`` for a task whose metric is not in the table, and for an interval that is NaN.
    """
    parts = []
    for task, metric in metric_of.items():
        part = differences[(differences["task"] == task) & (differences["metric"] == metric)]
        if part.empty:
            there = ", ".join(differences.loc[differences["task"] == task, "metric"].unique())
            raise ValueError(f"there is no difference of {metric!r} in {task!r}; it has {there or 'none'}")
        parts.append(part)
    table = pd.concat(parts, ignore_index=True).drop(columns="n_seeds")
    if (unknown := table["ci_low"].isna()).any():
        row = table[unknown].iloc[0]
        raise ValueError(f"{row['configuration']}, {row['task']}: {row['metric']} has no interval to judge by")
    sides = [table["ci_low"] > ROUNDING, table["ci_high"] < -ROUNDING]
    return table.assign(verdict=np.select(sides, ["above", "below"], default="within"))


def _seeds(outcomes: Outcomes, configuration: str, task: str) -> list[Outcome]:
    """A configuration's outcomes of a task, one for each seed that has it, checked to be of the same images."""
    if configuration not in outcomes:
        raise ValueError(f"there is no configuration {configuration!r}; there are {', '.join(outcomes) or 'none'}")
    found = [run[task] for run in outcomes[configuration] if task in run]
    for number, outcome in enumerate(found[1:], start=2):
        if differ := _differ(outcome, found[0]):
            raise ValueError(f"{configuration}, {task}: run {number} has {differ} than run 1; predict the same images")
        if outcome.metrics.keys() != found[0].metrics.keys():
            raise ValueError(f"{configuration}, {task}: run {number} has other metrics than run 1; measure the same")
    return found


def _differ(first: Outcome, second: Outcome) -> str:
    """What shows that two outcomes are not of the same test images; empty if nothing does."""
    if len(first.groups) != len(second.groups):
        return f"another number of test images ({len(first.groups):,} and {len(second.groups):,})"
    if not np.array_equal(first.groups, second.groups):
        return f"other test images (from place {(first.groups != second.groups).argmax():,} on)"
    if first.truth is not None and second.truth is not None and not np.array_equal(first.truth, second.truth):
        return "other true labels"
    return ""


def _over_seeds(found: list[Outcome], repeats: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The mean over seeds of every value (N,), and of the resampled maps (R,) where there are many labels."""
    values = {name: np.mean([outcome.values[name] for outcome in found], axis=0) for name in found[0].values}
    if found[0].probabilities is None:
        return values, None
    number = np.unique(found[0].groups, return_inverse=True)[1]
    drawn = draw_images(number.max() + 1, min(repeats, MAP_REPEATS), seed)[:, number]
    maps = [without_bias(resampled_maps(o.probabilities, o.truth, drawn), o.metrics["map"]) for o in found]
    return values, np.mean(maps, axis=0)


def _intervals(
    values: dict[str, np.ndarray], maps: np.ndarray | None, groups: np.ndarray, repeats: int, seed: int
) -> dict[str, tuple[float, float]]:
    intervals = {}
    if values:
        found = mean_intervals(np.stack(list(values.values()), 1), groups, repeats, seed)
        intervals = dict(zip(values, found, strict=True))
    return intervals if maps is None else {**intervals, "map": percentile_interval(maps)}
