"""A child of test_processes, one of several that torchrun starts: ``shared_run.py FOLDER [more] [kill STEP]``.

Trains in FOLDER, then leaves there what each process saw: ``seen_RANK.json``. With ``more`` it calls the same training
again, and trains another one that a single process can repeat.
"""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import numpy as np  # noqa: E402
import torch  # noqa: E402

from fashionlib.evaluation.predict import predict  # noqa: E402
from fashionlib.training import fit as training  # noqa: E402
from fashionlib.training.settings import Stage  # noqa: E402
from tiny import SETTINGS, tiny_data, tiny_model, tiny_table  # noqa: E402

TASKS = ("gender", "taxonomy", "words", "item")
SHARED = replace(SETTINGS, batch_size=16, per_item=2, ema_decay=0.9, checkpoint_minutes=1e-9)
STAGED = [Stage("labels", ("gender", "words")), Stage("all", epochs=2, sampler="mixed")]  # 4 and 8 steps an epoch
NO_BATCH_NORM = [Stage("by the image", epochs=3)]


def data():
    """Nine validation images, which two processes cannot divide evenly; every label is known."""
    table = tiny_table(train=64, val=9, test=8)
    whole = tiny_table(train=81, val=0, test=0)
    table.loc[5:7, ["gender", "sub", "article", "words"]] = whole.loc[
        17:19, ["gender", "sub", "article", "words"]
    ].values
    return tiny_data(table)


def run(folder, stages=STAGED):
    made = data()
    # triplets are sought among the images of one process: where both are to compute the same, there are none
    options = {"backbone": "test_convnext", "input_size": (32, 32)} if stages == NO_BATCH_NORM else {}
    model = tiny_model(made, *(TASKS[:3] if options else TASKS), **options)
    return training.fit(model, made, SHARED, folder, stages), made


def kill_in_step(number):
    check, steps = training.check_finite, iter(range(1, 1000))

    def counted(*values):
        check(*values)
        if next(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    training.check_finite = counted


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, options, rank = Path(sys.argv[1]), sys.argv[2:], os.environ["RANK"]
    if "kill" in options and rank == "1":
        kill_in_step(int(options[options.index("kill") + 1]))
    early = predict(tiny_model(data(), "words"), data(), "val").activations["words"]  # before anything is trained
    finished, made = run(folder / "run")
    seen = []
    finished.model.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    together = predict(finished.model, made, "val")
    mine = int(np.sum(seen))
    with torch.no_grad():
        alone = finished.model(made.fetch(together.rows))
    equal = all(
        np.allclose(together.activations[name], task.activate(alone[name]).numpy(), atol=1e-4)
        for name, task in together.tasks.items()
    )
    weights = float(sum(tensor.double().sum() for tensor in finished.model.state_dict().values()))
    facts = {
        "images": mine,
        "rows": together.rows.tolist(),
        "equal": equal,
        "early": len(early),
        "weights": weights,
    }
    if "more" in options:
        facts["found"] = run(folder / "run")[0].found
        run(folder / "by the image", NO_BATCH_NORM)
    (folder / f"seen_{rank}.json").write_text(json.dumps(facts))
