"""What a network reached, kept without the network: it is small enough to lie in a repository."""

import json
import zlib
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from fashionlib.evaluation.outcomes import Outcome
from fashionlib.machine.files import file_sha256, write_atomically
from fashionlib.training.runs import differences

ARRAYS = ("groups", "probabilities", "truth")


@dataclass(frozen=True, eq=False)
class Reached:
    """A finished training: its ``outcomes`` on test images by task, its ``history``, and ``facts`` (``run_facts``)."""

    outcomes: dict[str, Outcome]
    history: pd.DataFrame
    facts: dict


def keep(path: Path, record: dict, reached: Reached) -> None:
    """Write it as a compressed npz file, probabilities in half precision, which moves a mAP by some 1e-4. What was
    there of another ``record`` is set aside."""
    about = {"record": record, "facts": reached.facts, "history": reached.history.to_csv(index=False), "tasks": {}}
    arrays = {}
    for task, of in reached.outcomes.items():
        about["tasks"][task] = {"metrics": of.metrics, "values": list(of.values)}
        half = None if of.probabilities is None else of.probabilities.astype(np.float16)
        found = {**of.values, "groups": of.groups, "probabilities": half, "truth": of.truth}
        arrays |= {f"{task}/{name}": array for name, array in found.items() if array is not None}
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        path.rename(path.with_suffix(f".{file_sha256(path)[:8]}.npz"))
    write_atomically(path, lambda file: np.savez_compressed(file, about=json.dumps(about), **arrays))


def kept(path: Path, record: dict) -> Reached | None:
    """What was kept of this record, or None, where there is another with what differs printed. Raises ``ValueError``
    naming a file that is damaged."""
    if not path.exists():
        return None
    outcomes = {}
    try:
        with np.load(path) as file:
            about = json.loads(str(file["about"]))
            if about["record"] != record:
                print(f"{path.name} is of another run ({'; '.join(differences(about['record'], record))})", flush=True)
                return None
            for task, of in about["tasks"].items():
                values = {name: file[f"{task}/{name}"] for name in of["values"]}
                arrays = {name: file[f"{task}/{name}"] for name in ARRAYS if f"{task}/{name}" in file}
                outcomes[task] = Outcome(of["metrics"], values, **arrays)
    except (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error!r:.50}): restore it with git, or remove it and train") from error
    return Reached(outcomes, pd.read_csv(StringIO(about["history"])), about["facts"])
