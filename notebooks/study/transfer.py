"""Transfer: does a network that was trained on one catalogue learn another one better in the same epochs?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from fashionlib.data.images import ImageData
from fashionlib.models import MultitaskModel
from fashionlib.evaluation.outcomes import Outcome, outcomes_of
from fashionlib.training.settings import Settings
from fashionlib.training.fit import fit


def compare_starts(
    data: ImageData,
    make_model: Callable[[str | Path | None], MultitaskModel],
    starts: Mapping[str, str | Path | None],
    settings: Settings,
    run_dir: str | Path,
    seeds: Sequence[int] = (0, 1, 2),
) -> dict[str, list[dict[str, Outcome]]]:
    """Train the same model from several starts, with the same settings and seeds, and measure each on the test split.

    ``starts`` gives the weights of each start by its name, such as ``{"from scratch": None, "from the products":
    run.run_dir / "model.pth"}``; ``make_model`` is called with them after the seed was set, as in ``lambda weights:
    MultitaskModel("resnet18", data.catalogue.select("articleType"), weights=weights, size=data.size)``. Of a
    ``model.pth`` the backbone is taken; heads start new, and with one seed the same from every start.

    Returns what ``comparison.comparison_table`` and ``difference_table`` read: start -> seeds -> task -> outcome, so
    that ``difference_table(outcomes, {"articleType": "from scratch"})`` is the paired difference. Runs are in
    ``run_dir``, one a start and seed, and resumable.
    """
    outcomes: dict[str, list[dict[str, Outcome]]] = {name: [] for name in starts}
    for name, weights in starts.items():
        for seed in seeds:
            torch.manual_seed(seed)
            folder = Path(run_dir) / f"{name.replace(' ', '_')}_{seed}"
            run = fit(make_model(weights), data, replace(settings, seed=seed), folder)
            outcomes[name].append(outcomes_of(run.model, [data], run.run_dir))
    return outcomes
