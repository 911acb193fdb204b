"""A child process of test_resume: ``python killed_run.py KILL FOLDER [KILL FOLDER...]`` runs the same training in each
folder, in a process of its own, and prints how each of these ended.

KILL is ``step N`` (SIGKILL inside step N), ``epoch N`` (right after checkpoint N is on disk) or ``never``.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from fashionlib.training import fit as training  # noqa: E402
from fashionlib.training.checkpoints import CheckpointFolder  # noqa: E402
from fashionlib.training.settings import Stage  # noqa: E402
from tiny import SETTINGS, tiny_data, tiny_model  # noqa: E402

STAGES = [Stage("warm", ("gender",), 1, "heads"), Stage("joint", epochs=3)]
STEPS = 4  # an epoch


def run(folder):
    """Two stages, dropout, learned loss weights, momentum, a weight average, augmentation, a checkpoint after
    each step."""
    data = tiny_data()
    settings = replace(SETTINGS, loss_weights="uncertainty", checkpoint_minutes=1e-9)
    return training.fit(tiny_model(data, trunk=(16,)), data, settings, folder, STAGES)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_in_step(number):
    check, steps = training.check_finite, iter(range(1, 1000))

    def counted(*values):
        check(*values)
        if next(steps) == number:
            die()

    training.check_finite = counted


def kill_after_checkpoint(number):
    save = CheckpointFolder.save

    def saved(self, step, state):
        save(self, step, state)
        if step == number * STEPS:
            die()

    CheckpointFolder.save = saved


if __name__ == "__main__":
    for when, folder in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        if (process := os.fork()) == 0:  # the libraries are loaded once; nothing has been computed yet
            if when != "never":
                kind, number = when.split()
                {"step": kill_in_step, "epoch": kill_after_checkpoint}[kind](int(number))
            run(folder)
            sys.stdout.flush()
            os._exit(0)
        print("ended with", os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
