"""fit: it learns, writes what it promises, finds what was done, and says what is wrong."""

import copy
import json
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from fashionlib.evaluation.predict import predict
from fashionlib.tasks import SingleLabel
from fashionlib.training import fit as fit_module
from fashionlib.training.batches import Batches, training_order
from fashionlib.training.checkpoints import load_model
from fashionlib.training.fit import fit
from fashionlib.training.optimisation import learning_rate_at
from fashionlib.training.settings import Stage
from tiny import SETTINGS, same_weights, tiny_data, tiny_model, tiny_table


@pytest.fixture(scope="module")
def data():
    return tiny_data()


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A run of two epochs with all four kinds of tasks."""
    return fit(tiny_model(data), data, SETTINGS, tmp_path_factory.mktemp("runs") / "joint")


def test_what_comes_after_a_training_starts_alike_whether_it_is_found_or_not(data, tmp_path):
    drawn = []
    for found in (False, True):
        torch.manual_seed(7)
        assert fit(tiny_model(data), data, replace(SETTINGS, epochs=1), tmp_path / "run").found == found
        drawn.append(torch.rand(4))
    assert torch.equal(*drawn)


def test_a_model_of_another_vocabulary_is_refused(data, tmp_path):
    table = tiny_table()
    table["gender"] = table["gender"].map({"Men": "hommes", "Women": "femmes"})
    with pytest.raises(ValueError, match="'gender' is in tiny, which has no class of 'gender' that the model knows"):
        fit(tiny_model(data, "gender"), tiny_data(table), SETTINGS, tmp_path / "run")


def test_one_batch_is_overfitted(tmp_path):
    data = tiny_data(tiny_table(train=16, val=0, test=0))
    settings = replace(
        SETTINGS, epochs=80, batch_size=16, learning_rate=0.01, shift=0, flip=0, erase=0, label_smoothing=0, ema_decay=0
    )
    run = fit(tiny_model(data), data, settings, tmp_path / "run")
    losses = run.history[[c for c in run.history if c.startswith("loss/")]]
    assert list(losses) == ["loss/gender", "loss/taxonomy", "loss/words", "loss/item"]
    assert (losses.iloc[-1] < 0.1).all() and (losses.iloc[0] > losses.iloc[-1]).all()
    # batch norm in training mode: sixteen images are too few for its running statistics to settle on them
    run.model.train()
    with torch.no_grad():
        outputs = run.model(data.fetch(np.arange(16)))
    for name, task in run.model.tasks.items():
        target = task.encode(data.catalogue.table)
        for label, scores in task.metrics(task.activate(outputs[name]).numpy(), target).items():
            assert next(iter(scores.values())) >= 0.93, label


def test_a_run_leaves_its_model_history_settings_and_no_checkpoints(finished, data):
    assert not finished.found and finished.seconds > 0
    assert same_weights(load_model(finished.run_dir / "model.pth"), finished.model)
    assert not same_weights(finished.model, tiny_model(data))
    history = pd.read_csv(finished.run_dir / "history.csv")
    assert history["epoch"].tolist() == [1, 2] and history["stage"].tolist() == ["train", "train"]
    for column in ("loss/words", "gender/accuracy", "article/macro_f1", "words/map", "item/recall_at_1", "score"):
        assert history[column].notna().all(), column
    record = json.loads((finished.run_dir / "settings.json").read_text())
    assert record["finished"] and record["settings"] == json.loads(json.dumps(asdict(SETTINGS)))
    assert record["data"]["images"] == {"train": 32, "val": 8, "test": 8}
    kinds = [task["kind"] for task in record["model"]["tasks"]]
    assert kinds == ["SingleLabel", "Hierarchy", "MultiLabel", "Similarity"]
    assert not list((finished.run_dir / "checkpoints").glob("*"))


def test_the_history_tells_what_the_saved_model_reaches(finished, data):
    scores = predict(finished.model, data, "val").metrics()
    last = finished.history.iloc[-1]
    for label, metric in (("gender", "accuracy"), ("sub", "accuracy"), ("words", "map"), ("item", "recall_at_1")):
        assert last[f"{label}/{metric}"] == pytest.approx(scores[label][metric], abs=1e-6)
    first = [scores[k]["accuracy"] for k in ("gender", "master", "sub", "article")]
    expected = np.mean([*first, scores["words"]["map"], scores["item"]["recall_at_1"]])
    assert last["score"] == pytest.approx(expected, abs=1e-6)


def test_tensorboard_shows_losses_metrics_and_predictions(finished):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(finished.run_dir / "tensorboard"))
    events.Reload()
    assert {"loss/gender", "gender/accuracy", "run/learning_rate", "run/score"} <= set(events.Tags()["scalars"])
    seen = [(event.step, event.value) for event in events.Scalars("loss/taxonomy")]
    assert [step for step, _ in seen] == [4, 8]  # four steps an epoch
    np.testing.assert_allclose([value for _, value in seen], finished.history["loss/taxonomy"], rtol=1e-5)
    assert len(events.Images("predictions")) == 1
    said = events.Tensors("predictions/text_summary")[0].tensor_proto.string_val[0].decode().splitlines()
    assert len(said) == 8 and all(line.startswith("    image") and "gender" in line for line in said)


def test_a_finished_run_is_found(finished, data, monkeypatch):
    def train_epoch(*_):
        raise AssertionError("it trained again")

    monkeypatch.setattr("fashionlib.training.fit.train_epoch", train_epoch)
    again = fit(tiny_model(data), data, SETTINGS, finished.run_dir)
    assert again.found and again.seconds == finished.seconds
    assert same_weights(again.model, finished.model) and not again.model.training
    pd.testing.assert_frame_equal(again.history, finished.history)


def test_a_changed_setting_or_label_starts_a_new_run_and_keeps_the_old(data, tmp_path, capsys):
    one = replace(SETTINGS, epochs=1)
    first = fit(tiny_model(data, "gender"), data, one, tmp_path / "run")
    capsys.readouterr()
    second = fit(tiny_model(data, "gender"), data, replace(one, flip=0.1), tmp_path / "run")
    assert not second.found
    assert "run is another run (settings.flip: 0.5 -> 0.1); it is kept as run." in capsys.readouterr().out
    weighed = [replace(one, flip=0.1, loss_weights=weights) for weights in ({"gender": 0.2}, {})]
    for settings in weighed:
        fit(tiny_model(data, "gender"), data, settings, tmp_path / "weighed")
    assert "weighed is another run (settings.loss_weights.gender: 0.2 -> None)" in capsys.readouterr().out
    table = tiny_table()
    table.loc[0, "gender"] = "Women"
    changed = tiny_data(table)
    third = fit(tiny_model(changed, "gender"), changed, replace(one, flip=0.1), tmp_path / "run")
    assert not third.found and "data.fingerprint: " in capsys.readouterr().out
    kept = sorted(path for path in tmp_path.iterdir() if path.name.startswith("run.") and path.is_dir())
    assert len(kept) == 2
    assert any(same_weights(load_model(path / "model.pth"), first.model) for path in kept)


def test_the_model_stays_as_it_is_and_finds_its_run_again_whenever_checkpoints_are_written(data, tmp_path):
    model = tiny_model(data, "gender")
    before = copy.deepcopy(model)
    first = fit(model, data, replace(SETTINGS, epochs=1), tmp_path / "run")
    assert same_weights(model, before) and not same_weights(model, first.model) and not model.temperatures
    settings = replace(SETTINGS, epochs=1, checkpoint_minutes=1.0, workers=1)
    again = fit(model, data, settings, tmp_path / "run", Stage("train"))
    assert again.found and same_weights(again.model, first.model) and same_weights(model, before)


def test_other_first_weights_are_another_run(data, tmp_path, capsys):
    for seed in (0, 1):
        assert not fit(tiny_model(data, "gender", seed=seed), data, replace(SETTINGS, epochs=1), tmp_path / "run").found
    assert "run is another run (initial_weights: " in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_training_is_a_plain_loop(tmp_path, kind):
    data = tiny_data(tiny_table(val=0, test=0))
    settings = replace(SETTINGS, optimizer=kind, flip=1.0, shift=0, erase=0.0, label_smoothing=0.1, ema_decay=0.9)
    settings = replace(settings, learning_rate=0.01, backbone_rate=0.5)
    run = fit(tiny_model(data, "gender", "taxonomy"), data, settings, tmp_path / "run")
    model = tiny_model(data, "gender", "taxonomy")
    groups = [
        {"params": [p], "weight_decay": 0.02 * (p.ndim > 1), "share": 0.5 if name.startswith("body.") else 1.0}
        for name, p in model.named_parameters()
    ]
    options = {"momentum": 0.9, "nesterov": True} if kind == "sgd" else {}
    optimizer = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[kind](groups, lr=0.01, fused=True, **options)
    batches, states, rates = Batches([data], model.tasks.values()), [], []
    order = training_order(batches, settings)
    for rows in [*order.batches(0), *order.batches(1)]:
        images, targets = batches[rows]
        rates.append(learning_rate_at(len(rates), 8, 0.01))
        for group in optimizer.param_groups:
            group["lr"] = rates[-1] * group["share"]
        sum(model.losses(model(images.flip(2)), targets, model.tasks, 0.1).values()).backward()
        optimizer.step()
        optimizer.zero_grad()
        states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
    for name, found in run.model.state_dict().items():
        fourth, eighth = states[3][name], states[7][name]  # the two that are averaged
        expected = (fourth + 10 * eighth) / 11 if eighth.is_floating_point() else eighth
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert run.history["learning_rate"].tolist() == pytest.approx([rates[3], rates[7]])


def test_a_backbone_of_rate_0_stays_as_it_is(data, tmp_path):
    settings = replace(SETTINGS, epochs=1, ema_decay=0, backbone_rate=0.0)
    learned, first = fit(tiny_model(data, "gender"), data, settings, tmp_path / "run").model, tiny_model(data, "gender")
    assert same_weights(learned.body, first.body) and not same_weights(learned.heads, first.heads)


def test_without_validation_images_it_trains_to_the_end(tmp_path):
    data = tiny_data(tiny_table(train=16, val=0, test=4))
    run = fit(tiny_model(data, "gender"), data, replace(SETTINGS, epochs=3), tmp_path / "run")
    assert len(run.history) == 3 and "score" not in run.history


def test_stages_train_what_they_name(data, tmp_path):
    stages = [Stage("warm", ("gender",), 1, "heads"), Stage("all", ("gender", "taxonomy"), 2, learning_rate=0.001)]
    model = tiny_model(data)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    run = fit(model, data, replace(SETTINGS, ema_decay=0), tmp_path / "run", stages)
    assert run.history["stage"].tolist() == ["warm", "all", "all"]
    assert run.history["loss/taxonomy"].isna().tolist() == [True, False, False]
    assert run.history["learning_rate"].iloc[1] <= 0.001
    after = run.model.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    learned = {name.split(".")[1] for name in changed if name.startswith("heads.")}
    assert learned == {"gender", "taxonomy"}


@pytest.mark.parametrize("weights", ["uncertainty", "pcgrad", {"gender": 0.0, "taxonomy": 2.0}])
def test_loss_weights_reach_the_loop(data, tmp_path, weights):
    names = ("gender", "taxonomy")
    model = tiny_model(data, *names)
    before = model.heads["gender"].weight.detach().clone()
    settings = replace(SETTINGS, epochs=1, weight_decay=0, ema_decay=0, loss_weights=weights)
    run = fit(model, data, settings, tmp_path / "run")
    assert torch.equal(run.model.heads["gender"].weight, before) == isinstance(weights, dict)


class Explodes(SingleLabel):
    def loss(self, output, target, smoothing=0.0, head=None):
        return super().loss(output, target, smoothing) * float("nan")


def test_a_loss_that_is_not_finite_stops_with_step_and_task(data, tmp_path):
    model = tiny_model(data, "gender", "taxonomy")
    model.tasks["gender"] = Explodes("gender", classes=model.tasks["gender"].classes)
    with pytest.raises(FloatingPointError, match="step 0: the loss of gender is not finite; lower the learning rate"):
        fit(model, data, SETTINGS, tmp_path / "run")
    assert not (tmp_path / "run" / "model.pth").exists()


def test_a_huge_learning_rate_is_reported_not_saved(data, tmp_path):
    settings = replace(SETTINGS, optimizer="sgd", learning_rate=1e20)
    with pytest.raises(FloatingPointError, match=r"step [1-7]: the loss of .*gender"):
        fit(tiny_model(data, "gender"), data, settings, tmp_path / "run")


def test_what_does_not_fit_together_is_refused_before_anything_is_written(data, tmp_path):
    run, wide = tmp_path / "run", tiny_data(size=(30, 32))
    with pytest.raises(ValueError, match=r"images of \(30, 32\) pixels, the model expects \(24, 32\)"):
        fit(tiny_model(data), wide, SETTINGS, run)
    with pytest.raises(ValueError, match=r"fit needs images, cache_images\(catalogue, ...\), not a Catalogue"):
        fit(tiny_model(data), data.catalogue, SETTINGS, run)
    frozen = tiny_model(data, "gender")
    frozen.body.requires_grad_(False)  # fit would undo it
    with pytest.raises(ValueError, match=r"freeze with Settings\(backbone_rate=0\)"):
        fit(frozen, data, SETTINGS, run)
    with pytest.raises(ValueError, match="stage 's' names task 'shoe'; the model has gender"):
        fit(tiny_model(data, "gender"), data, SETTINGS, run, [Stage("s", ("shoe",))])
    poor = tiny_data(tiny_table().drop(columns="gender"), tasks=())
    with pytest.raises(ValueError, match="task 'gender' is in no catalogue: tiny has no tasks"):
        fit(tiny_model(data, "gender"), poor, SETTINGS, run)
    assert not run.exists()


def test_one_head_learns_alone_and_the_trunk_stays_as_it_is(data, tmp_path):
    model = tiny_model(data, "gender", "item", trunk=(16,))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    stage = Stage("embedding", ("item",), train="item", sampler="items")
    run = fit(model, data, replace(SETTINGS, per_item=2, ema_decay=0), tmp_path / "run", [stage])
    after = run.model.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {name for name in after if name.startswith("heads.item.")}


def test_a_stage_starts_from_what_was_validated_and_a_frozen_one_leaves_the_labels_as_they_are(data, tmp_path):
    stages = [
        Stage("labels", ("gender", "taxonomy"), 2),
        Stage("embedding", ("item",), 2, train="item", sampler="items"),
    ]
    run = fit(tiny_model(data), data, replace(SETTINGS, per_item=2, ema_decay=0.99), tmp_path / "run", stages)
    labels = [c for c in run.history if c.split("/")[0] in ("gender", "master", "sub", "article")]
    history = run.history.set_index("epoch")[labels]
    assert history.loc[2].equals(history.loc[3]) and history.loc[2].equals(history.loc[4])
    assert run.history["item/recall_at_1"].notna().all()


def test_learned_loss_weights_are_in_the_history_and_move(data, tmp_path):
    settings = replace(SETTINGS, epochs=3, loss_weights="uncertainty")
    history = fit(tiny_model(data, "gender", "words"), data, settings, tmp_path / "run").history
    for task in ("gender", "words"):
        assert history[f"weight/{task}"].iloc[-1] < 0.9  # both losses are above one half, where it would stay at 1


def test_dwa_weights_are_equal_for_two_epochs_and_then_move(data, tmp_path):
    settings = replace(SETTINGS, epochs=3, loss_weights="dwa")
    history = fit(tiny_model(data, "gender", "words"), data, settings, tmp_path / "run").history
    weights = history[["weight/gender", "weight/words"]].to_numpy()
    assert (weights[:2] == 1).all() and (weights[2] != 1).all() and weights[2].sum() == pytest.approx(2)
    ratio = history[["loss/gender", "loss/words"]].to_numpy()
    expected = np.exp(ratio[1] / ratio[0] / 2)
    np.testing.assert_allclose(weights[2], 2 * expected / expected.sum(), rtol=1e-6)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (Stage("s", ("gender",), train="itemm"), "stage 's': train 'itemm' is not one of all, heads, gender, item"),
        (Stage("s", ("gender",), train="item"), "stage 's': head 'item' cannot learn"),
        (
            Stage("s", ("item",), sampler="balanced"),
            "sampler 'balanced' needs a SingleLabel task; take 'shuffle' for item",
        ),
    ],
)
def test_a_mistake_in_a_stage_costs_no_finished_run(data, tmp_path, stage, message):
    good = fit(tiny_model(data, "gender", "item"), data, replace(SETTINGS, epochs=1), tmp_path / "run")
    with pytest.raises(ValueError, match=message):
        fit(tiny_model(data, "gender", "item"), data, SETTINGS, tmp_path / "run", [Stage("first"), stage])
    assert fit(tiny_model(data, "gender", "item"), data, replace(SETTINGS, epochs=1), good.run_dir).found


def test_weights_that_are_not_finite_are_not_kept_as_a_checkpoint(data, tmp_path, monkeypatch):
    """The last step of the second epoch breaks them, after its loss was still finite."""
    check, steps = fit_module.check_finite, iter(range(1, 100))

    def broken(total, losses, step):
        check(total, losses, step)
        if next(steps) == 8:
            trained[0].heads["gender"].bias.data.fill_(float("nan"))

    def prepare(model, *options):
        trained.append(model)
        return freeze(model, *options)

    freeze, trained = fit_module.freeze, []
    monkeypatch.setattr(fit_module, "freeze", prepare)
    monkeypatch.setattr(fit_module, "check_finite", broken)
    model = tiny_model(data, "gender")
    with pytest.raises(FloatingPointError, match="step 8: weights are not finite, the first in heads.gender.bias"):
        fit(model, data, replace(SETTINGS, epochs=3), tmp_path / "run")
    monkeypatch.undo()
    run = fit(tiny_model(data, "gender"), data, replace(SETTINGS, epochs=3), tmp_path / "run")
    assert len(run.history) == 3 and all(torch.isfinite(t).all() for t in run.model.state_dict().values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_validation_and_calibration_run_at_the_precision_of_the_settings(data, tmp_path, monkeypatch, precision):
    asked = []

    def remember(module, inputs, outputs):
        if not module.training:
            asked.append(outputs["gender"].dtype)

    model = tiny_model(data, "gender")
    model.register_forward_hook(remember)
    fit(model, data, replace(SETTINGS, epochs=1, precision=precision), tmp_path / "run")
    assert set(asked) == {torch.float32 if precision == "fp32" else torch.bfloat16} and len(asked) == 2


@pytest.mark.parametrize(("able", "expected"), [(True, "bf16"), (False, None)])
def test_a_run_of_another_machine_is_not_computed_in_what_this_one_emulates(
    data, tmp_path, monkeypatch, able, expected
):
    settings = replace(SETTINGS, epochs=1, precision="auto")
    noted = fit(tiny_model(data, "gender"), data, settings, tmp_path / "run").run_dir / "settings.json"
    facts = json.loads(noted.read_text())
    facts["arithmetic"] = {"precision": "bf16", "layout": "contiguous"}
    noted.write_text(json.dumps(facts))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able})
    run = fit(tiny_model(data, "gender"), data, settings, tmp_path / "run")
    assert run.found and (run.model.arithmetic and run.model.arithmetic.precision) == expected


def test_a_lock_in_another_process_is_respected_and_a_finished_run_needs_none(finished, data, tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", LOCKING, tmp_path / "run.lock", f"{finished.run_dir}.lock"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout.readline() == "locked\n"
        with pytest.raises(RuntimeError, match="run: another process is training here"):
            fit(tiny_model(data), data, SETTINGS, tmp_path / "run")
        assert fit(tiny_model(data), data, SETTINGS, finished.run_dir).found
    finally:
        child.kill()
        child.wait()
    assert not fit(tiny_model(data, "gender"), data, replace(SETTINGS, epochs=1), tmp_path / "run").found


LOCKING = """
import sys
from filelock import FileLock
locks = [FileLock(path) for path in sys.argv[1:]]
for lock in locks:
    lock.acquire()
print("locked", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("error", [FloatingPointError, KeyboardInterrupt])
def test_the_writer_of_events_is_closed_whatever_happens(data, tmp_path, monkeypatch, error):
    closed, close = [], SummaryWriter.close
    monkeypatch.setattr(SummaryWriter, "close", lambda self: closed.append(close(self)))

    def stop(*_):
        raise error("stopped")

    monkeypatch.setattr("fashionlib.training.fit.train_epoch", stop)
    with pytest.raises(error, match="stopped"):
        fit(tiny_model(data, "gender"), data, SETTINGS, tmp_path / "run")
    assert len(closed) == 1
