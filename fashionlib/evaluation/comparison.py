"""Configurations compared on the same test images: one network a task against one for all.

The test images are resampled, the same ones for all that is compared, and crossed with them the seeds of each
configuration (the pigeonhole bootstrap of Owen, 2007), n - 1 of n of them, with which the variance of their mean is not
too small (Rao and Wu, 1988). What image and seed share counts about three times, which makes intervals up to 1.7 times
too wide; where seeds matter most, two or three of them leave them too narrow, and one leaves seeds out."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..metrics.bootstrap import percentile_interval
from .outcomes import Outcome

ROUNDING = 1e-12  # what is zero but for rounding lies on no side of it
Outcomes = Mapping[str, Sequence[Mapping[str, Outcome]]]  # configuration -> seeds -> task


def comparison_table(outcomes: Outcomes, repeats: int = 1000, seed: int = 0) -> pd.DataFrame:
    """One row per configuration, task and metric: configuration, task, metric, mean and std over seeds, ci_low and
    ci_high of the mean (95%, over test images and seeds), n_test (images or queries), n_seeds. NaN is the std of one
    seed, and the interval of a metric that is neither a mean nor ``map``, like macro_f1. Raises ``ValueError`` if the
    seeds of a configuration were not measured on the same images."""
    rows = []
    for configuration, runs in outcomes.items():
        for task in dict.fromkeys(task for run in runs for task in run):
            found = [run[task] for run in runs if task in run]
            _check(f"{configuration}, {task}", found)
            for metric in found[0].metrics:
                points = pd.Series([outcome.metrics[metric] for outcome in found])
                low, high = percentile_interval(_draws([found], metric, repeats, seed)[0])
                row = {"configuration": configuration, "task": task, "metric": metric, "mean": points.mean()}
                row |= {"std": points.std(), "ci_low": low, "ci_high": high}
                rows.append({**row, "n_test": len(found[0].groups), "n_seeds": len(found)})
    return pd.DataFrame(rows)


def difference_table(outcomes: Outcomes, against: Mapping[str, str], repeats=1000, seed=0) -> pd.DataFrame:
    """The ``contrast`` of every configuration to the one that ``against`` names for a task, a row for each metric of
    both: configuration, against, task, metric, difference, ci_low, ci_high, p (of one contrast alone, see ``holm``),
    n_seeds (the fewer). Raises as ``contrast``, and ``ValueError`` if one that ``against`` names lacks the task."""
    rows = []
    for task, reference in against.items():
        found = {name: [run[task] for run in runs if task in run] for name, runs in outcomes.items()}
        if not (base := found.pop(reference, [])):
            raise ValueError(f"there is no outcome of {reference!r} in {task!r} to compare against")
        for name, runs in found.items():
            _check(f"{name} against {reference}, {task}", [*base, *runs])
            for metric in [metric for metric in base[0].metrics if runs and metric in runs[0].metrics]:
                row = {"configuration": name, "against": reference, "task": task, "metric": metric}
                row |= contrast(runs, base, metric, repeats, seed)
                rows.append({**row, "n_seeds": min(len(runs), len(base))})
    return pd.DataFrame(rows)


def contrast(
    first: Sequence[Outcome], second: Sequence[Outcome], metric: str, repeats: int = 1000, seed: int = 0, margin=0.0
) -> dict[str, float]:
    """How far the first is above the second, each given by an outcome a seed: difference of the means over seeds, its
    ci_low and ci_high (95%, over test images and seeds), and a two-sided p: one minus the confidence level at which the
    interval would begin to hold zero, at least 2 / (repeats + 1). With a ``margin`` it is that of -margin instead: a
    small p and an interval above -margin show that the first is not inferior (see ICH E9, 1998, section 3.3.2). NaN for
    a metric that is neither a mean nor ``map``. Raises ``ValueError`` if groups or many-label truths differ."""
    _check("contrast", [*first, *second])
    one, two = _draws([first, second], metric, repeats, seed)
    draws = pd.Series(one - two).dropna()
    low, high = percentile_interval(draws)
    beyond = min((draws <= ROUNDING - margin).sum(), (draws >= -ROUNDING - margin).sum())
    p = min(2 * (beyond + 1) / (len(draws) + 1), 1.0) if len(draws) else np.nan
    means = [np.mean([outcome.metrics[metric] for outcome in side]) for side in (first, second)]
    return {"difference": float(means[0] - means[1]), "ci_low": low, "ci_high": high, "p": float(p)}


def holm(p_values: Sequence[float]) -> np.ndarray:
    """p-values adjusted for how many there are (M,), in their order (Holm, 1979): to reject those below a level keeps
    the chance of any false rejection among them below it. NaN stays, and is no test."""
    p = pd.Series(np.asarray(p_values, float)).sort_values()
    return (p * np.arange(p.count(), p.count() - len(p), -1)).cummax().clip(upper=1).sort_index().to_numpy()


def _draws(sides: Sequence[Sequence[Outcome]], metric: str, repeats: int, seed: int) -> list[np.ndarray]:
    """For each side the mean over seeds of a metric (R,) in resamples of images and seeds; NaN if it has none."""
    rng, none = np.random.default_rng((seed, 1)), np.full(repeats, np.nan)
    means = []
    for found in sides:
        draws = np.stack([outcome.resampled(repeats, seed).get(metric, none) for outcome in found])  # (seeds, R)
        picked = rng.integers(0, len(draws), (max(len(draws) - 1, 1), repeats))
        means.append(np.take_along_axis(draws, picked, axis=0).mean(0))
    return means


def _check(what: str, found: Sequence[Outcome]) -> None:
    for number, outcome in enumerate(found, start=1):
        if not np.array_equal(outcome.groups, found[0].groups):
            sizes = f"{len(outcome.groups):,} and {len(found[0].groups):,}"
            raise ValueError(f"{what}: outcomes {number} and 1 have other test images ({sizes}); predict the same")
        if outcome.truth is not None and not np.array_equal(outcome.truth, found[0].truth):
            raise ValueError(f"{what}: outcomes {number} and 1 have other true labels; predict the same images")
