"""What a network reached, kept without the network: it is small enough to lie in a repository."""

import json
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from fashionlib.evaluation.outcomes import Outcome
from fashionlib.machine.files import write_atomically

ARRAYS = ("groups", "probabilities", "truth")


@dataclass(frozen=True, eq=False)
class Reached:
    """A finished training: its ``outcomes`` on test images by task, its ``history``, and ``facts`` (``run_facts``)."""

    outcomes: dict[str, Outcome]
    history: pd.DataFrame
    facts: dict


def keep(path: Path, key: str, reached: Reached) -> None:
    """Write it as a compressed npz file, probabilities in half precision, which moves a mAP by less than 1e-4."""
    about = {"key": key, "facts": reached.facts, "history": reached.history.to_csv(index=False), "tasks": {}}
    arrays = {}
    for task, of in reached.outcomes.items():
        about["tasks"][task] = {"metrics": of.metrics, "values": list(of.values)}
        half = None if of.probabilities is None else of.probabilities.astype(np.float16)
        found = {**of.values, "groups": of.groups, "probabilities": half, "truth": of.truth}
        arrays |= {f"{task}/{name}": array for name, array in found.items() if array is not None}
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, lambda file: np.savez_compressed(file, about=json.dumps(about), **arrays))


def kept(path: Path, key: str) -> Reached | None:
    """What was kept under this key, or None."""
    if not path.exists():
        return None
    outcomes = {}
    with np.load(path) as file:
        about = json.loads(str(file["about"]))
        for task, of in about["tasks"].items() if about["key"] == key else ():
            values = {name: file[f"{task}/{name}"] for name in of["values"]}
            arrays = {name: file[f"{task}/{name}"] for name in ARRAYS if f"{task}/{name}" in file}
            outcomes[task] = Outcome(of["metrics"], values, **arrays)
    return Reached(outcomes, pd.read_csv(StringIO(about["history"])), about["facts"]) if outcomes else None
