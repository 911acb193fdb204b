"""Schedule, weight average, loss weights, and which weights learn."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from fashionlib.models import MultitaskModel
from fashionlib.training.optimisation import (
    LossWeights,
    freeze,
    learning_rate_at,
    make_optimizer,
    surgery,
    weight_average,
)
from fashionlib.training.settings import Settings, Stage
from tiny import SETTINGS, tiny_data, tiny_model

NOTHING = LossWeights({}, ())
NORMS = nn.BatchNorm1d | nn.BatchNorm2d


def rates(steps=200, peak=0.2):
    return np.array([learning_rate_at(step, steps, peak) for step in range(steps + 1)])


def test_onecycle_rises_over_a_quarter_and_falls_to_a_thousandth():
    rate = rates()
    assert rate.argmax() == 50 and rate.max() == pytest.approx(0.2)
    assert (np.diff(rate[:51]) > 0).all() and (np.diff(rate[50:]) < 0).all()
    assert rate[0] == pytest.approx(0.2 / 25) and rate[-1] == pytest.approx(0.2 / 1000)
    assert rate[125] == pytest.approx(0.2 * (0.001 + 0.999 / 2))  # half way down


def test_a_run_of_one_step_has_a_learning_rate():
    assert 0 < learning_rate_at(0, 1, 0.1) <= 0.1


def test_weight_average_equals_a_plain_loop():
    model = nn.BatchNorm1d(3)
    average = weight_average(model, decay=0.9)
    values, expected = np.random.default_rng(0).normal(size=(80, 3)), None
    updates = 0
    for step, value in enumerate(values, start=1):
        model.weight.data.copy_(torch.from_numpy(value))
        model.num_batches_tracked += 1
        if step % 4 == 0:
            average.update_parameters(model)
            decay = min(0.9**4, updates / (updates + 10))
            expected = value if expected is None else decay * expected + (1 - decay) * value
            updates += 1
    weights = average.module.state_dict()
    np.testing.assert_allclose(weights["weight"], expected, rtol=1e-5, atol=1e-6)
    assert weights["num_batches_tracked"] == 80


def test_fixed_loss_weights():
    losses = {"a": torch.tensor(2.0), "b": torch.tensor(3.0)}
    assert LossWeights({"b": 0.5}, ("a", "b"))(losses).item() == pytest.approx(3.5)
    with pytest.raises(ValueError, match="loss_weights names colour, shape; tasks are a, b"):
        LossWeights({"shape": 1, "colour": 2}, ("a", "b"))


def test_dwa_weights_are_a_softmax_of_the_ratios_of_the_last_two_losses():
    weights, tasks = LossWeights("dwa", ("a", "b")), ("a", "b")
    losses = {"a": torch.tensor(2.0), "b": torch.tensor(3.0)}
    history = [{"loss/a": 4.0, "loss/b": 1.0}, {"loss/a": 2.0, "loss/b": 0.9}]
    for before in ([], history[:1], [{"loss/a": 1.0}, {"loss/a": 1.0, "loss/b": 2.0}]):  # b is new in the last
        weights.balance(before, tasks)
        assert weights(losses).item() == pytest.approx(5.0)
    weights.balance(history, tasks)
    a, b = math.exp(2 / 4 / 2), math.exp(0.9 / 1 / 2)
    assert weights.weights() == pytest.approx({"a": 2 * a / (a + b), "b": 2 * b / (a + b)})
    assert weights(losses).item() == pytest.approx(2 * (2 * a + 3 * b) / (a + b))
    for before in (0.0, 1e-5):  # an epoch without a pair, or nearly
        weights.balance([{"loss/a": 1.0, "loss/b": before}, {"loss/a": 1.0, "loss/b": 0.2}], tasks)
        assert weights.weights() == pytest.approx({"a": 0, "b": 2}, abs=1e-3)


@pytest.mark.parametrize("targets", [((2.0, 0.0), (-1.0, 1.0)), ((2.0, 0.0), (1.0, 1.0))])
def test_surgery_takes_out_of_each_gradient_what_opposes_the_other(targets):
    shared, heads = nn.Parameter(torch.zeros(2)), nn.ParameterList([nn.Parameter(torch.ones(())) for _ in targets])
    losses = [head * (shared @ -torch.tensor(of)) for head, of in zip(heads, targets, strict=True)]
    other = nn.Parameter(torch.ones(3))
    surgery([loss + 0 * shared.sum() for loss in losses], [shared, other], np.random.default_rng(0))
    assert other.grad is None  # or weight decay would move what no loss reaches
    one, two = (-np.array(of) for of in targets)
    if one @ two < 0:
        one, two = one - one @ two / (two @ two) * two, two - two @ one / (one @ one) * one
    np.testing.assert_allclose(shared.grad.numpy(), one + two, rtol=1e-6)
    assert all(head.grad.item() == 0 for head in heads)


def test_uncertainty_weights_follow_the_formula_and_learn_the_loss_as_variance():
    weights = LossWeights("uncertainty", ("a", "b"))
    losses = {"a": torch.tensor(0.4), "b": torch.tensor(5.0)}
    for name, value in (("a", 0.7), ("b", -0.3)):
        weights.log_variance[name].data.fill_(value)
    expected = np.exp(-0.7) * 0.4 + 0.7 / 2 + np.exp(0.3) * 5 - 0.3 / 2
    assert weights(losses).item() == pytest.approx(expected, rel=1e-6)
    optimizer = make_optimizer(tiny_model(tiny_data()), weights, SETTINGS, 0.02)
    for _ in range(600):
        weights(losses).backward()
        optimizer.step()
        optimizer.zero_grad()
    # d/ds of exp(-s) L + s / 2 is zero at exp(s) = 2 L
    learned = {name: math.exp(value.item()) for name, value in weights.log_variance.items()}
    assert learned == pytest.approx({"a": 0.8, "b": 10.0}, rel=0.05)
    weights({"a": torch.tensor(4.0), "b": torch.tensor(0.0)}).backward()  # a batch without a label of b
    assert weights.log_variance["a"].grad.abs() > 0 and weights.log_variance["b"].grad == 0


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_norms_and_biases_have_no_weight_decay(name):
    model = tiny_model(tiny_data())
    optimizer = make_optimizer(model, NOTHING, Settings(optimizer=name, weight_decay=0.01), 0.1)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    norms = {id(p) for module in model.modules() if isinstance(module, NORMS) for p in module.parameters()}
    for parameter_name, parameter in model.named_parameters():
        spared = id(parameter) in norms or parameter_name.endswith("bias")
        assert decay.pop(id(parameter)) == (0.0 if spared else 0.01), parameter_name
    assert not decay


def test_what_a_backbone_names_has_no_weight_decay():
    model = MultitaskModel("vit_tiny_patch16_224", tiny_data().catalogue.select("gender"), size=(32, 32))
    groups = make_optimizer(model, NOTHING, Settings(optimizer="adamw", weight_decay=0.01), 0.1).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    body = model.body
    assert decay[id(body.pos_embed)] == decay[id(body.cls_token)] == 0 < decay[id(body.patch_embed.proj.weight)]


def test_a_backbone_learns_at_its_share_of_the_rate():
    model = tiny_model(tiny_data())
    groups = make_optimizer(model, NOTHING, Settings(backbone_rate=0.1), 0.2).param_groups
    rates = {id(p): (group["relative"], group["lr"]) for group in groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        assert rates[id(parameter)] == pytest.approx((0.1, 0.02) if name.startswith("body.") else (1, 0.2)), name


def changed_by_a_step(stage: Stage) -> set[str]:
    model = tiny_model(tiny_data())
    freeze(model, stage)
    optimizer = make_optimizer(model, NOTHING, SETTINGS, 0.1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = torch.randint(0, 256, (6, 32, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for _ in range(2):  # the first step leaves what lies behind zero weights
        sum(output.square().sum() for output in model(images).values()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


def test_a_stage_changes_only_what_it_names():
    state = set(tiny_model(tiny_data()).state_dict())
    heads = {name for name in state if name.startswith("heads.")}
    assert changed_by_a_step(Stage("s", train="heads")) == heads  # batch-norm statistics included in what stays
    assert changed_by_a_step(Stage("s", train="words")) == {"heads.words.weight", "heads.words.bias"}
    assert changed_by_a_step(Stage("s", train="all")) == state


def test_a_stage_that_makes_no_sense_is_refused():
    for changes in (
        {"epochs": 0},
        {"epochs": 1.5},
        {"sampler": "item"},
        {"tasks": "gender"},
        {"tasks": ()},
        {"learning_rate": float("nan")},
    ):
        with pytest.raises(ValueError, match=f"for Stage\n{next(iter(changes))}"):
            Stage("warm", **changes)


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", 0), ("learning_rate", -1), ("flip", 1.5), ("optimizer", "lbfgs"), ("seed", -1)]
    + [
        ("loss_weights", "kendall"),
        ("precision", "fp8"),
        ("ema_decay", -0.1),
        ("batch_size", 0),
        ("epochs", 1.5),
    ]
    + [("epochs", True), ("learning_rate", "0.1"), ("learning_rate", float("inf")), ("flip", None), ("workers", True)]
    + [("loss_weights", {"a": float("nan")}), ("loss_weights", 3), ("layout", "nhwc"), ("checkpoint_minutes", 0)],
)
def test_settings_that_make_no_sense_are_refused(field, value):
    with pytest.raises(ValueError, match=f"for Settings\n{field}"):
        Settings(**{field: value})
