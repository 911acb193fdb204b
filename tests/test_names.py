"""Names and numbers that are refused before anything is trained."""

from __future__ import annotations

import pytest

from fashionlib.models import MultitaskModel
from fashionlib.tasks import SingleLabel
from fashionlib.training.settings import Settings, Stage


@pytest.mark.parametrize("name", ["all", "heads", "base colour", "a.b", ""])
def test_a_task_name_that_would_be_ambiguous_is_refused(name):
    with pytest.raises(ValueError, match="task name"):
        MultitaskModel("resnet18", [SingleLabel(name, ("a", "b"))])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("optimizer", "adam"), ("precision", "fp16"), ("epochs", 0), ("batch_size", -1),
        ("learning_rate", 0), ("label_smoothing", 1.5), ("ema_decay", -0.1), ("flip", 2), ("shift", -1),
        ("workers", -2), ("weight_decay", -1e-4),
        ("seed", -1), ("loss_weights", "equal"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_name_the_field(field, value):
    with pytest.raises(ValueError, match=field):
        Settings(**{field: value})


def test_a_stage_without_epochs_is_refused():
    with pytest.raises(ValueError, match="for Stage\nepochs"):
        Stage("warm", epochs=0)
