"""fit on several catalogues: what a batch holds, which task an image counts for, what is refused."""

from collections import Counter
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fashionlib.data.catalogue import Catalogue, CatalogueError
from fashionlib.data.images import ImageData
from fashionlib.evaluation.outcomes import outcomes_of
from fashionlib.evaluation.predict import predict
from fashionlib.models import MultitaskModel
from fashionlib.tasks import MultiLabel, Similarity, SingleLabel
from fashionlib.tasks.labels import MISSING
from fashionlib.training.batches import Batches, training_order
from fashionlib.training.fit import fit
from fashionlib.training.samplers import share
from fashionlib.training.settings import Stage
from tiny import SETTINGS, NoFiles, same_weights, tiny_data, tiny_model, tiny_table

MIXED = replace(SETTINGS, sampler="mixed", batch_size=12, per_item=2, item_share=0.5)


@pytest.fixture(scope="module")
def labels() -> ImageData:
    """32 training images with labels; nothing is said of items."""
    return tiny_data().only("gender", "words")


@pytest.fixture(scope="module")
def items() -> ImageData:
    """Another catalogue of 18 training images, three of each item, and one of its own for labels."""
    rng = np.random.default_rng(1)
    split = ["train"] * 18 + ["val"] * 6 + ["test"] * 6
    table = pd.DataFrame({"item": [f"q{k // 3}" for k in range(30)], "split": split, "gender": "Aliens"})
    table["image"] = [f"shop/{k}.png" for k in range(30)]
    tasks = [Similarity("item", dimension=16), SingleLabel("gender")]
    pixels = rng.integers(0, 255, (30, 32, 24, 3)).astype(np.uint8)
    return ImageData(Catalogue(table, tasks, NoFiles(), "shop"), pixels, np.arange(30))


def joint_model(labels, items) -> MultitaskModel:
    torch.manual_seed(0)
    tasks = [*labels.catalogue.select("gender", "words"), *items.catalogue.select("item")]
    return MultitaskModel("resnet_tiny", tasks, size=labels.size)


def test_rows_of_the_second_catalogue_follow_and_its_images_count_for_its_own_tasks(labels, items):
    shop = items.only("item")
    batches = Batches([labels, shop], [*labels.catalogue.select("gender", "words"), *shop.catalogue.select("item")])
    rows = np.array([49, 0, 48, 31])  # 48 images in the first catalogue
    batch = batches[rows]
    wanted = [shop.fetch(np.array([1]))[0], labels.fetch(np.array([0]))[0], shop.fetch(np.array([0]))[0]]
    for image, expected in zip(batch.images, wanted, strict=False):
        assert torch.equal(image, expected)
    gender = labels.catalogue.tasks["gender"].classes
    assert batch.targets["gender"].tolist() == [MISSING, gender.index("Men"), MISSING, gender.index("Women")]
    assert (batch.targets["words"][[0, 2]] == MISSING).all() and (batch.targets["words"][1] >= 0).all()
    assert batch.targets["item"].tolist()[1::2] == [MISSING, MISSING]
    assert batch.targets["item"][0] == batch.targets["item"][2] >= 0


def test_a_mixed_batch_joins_shuffled_images_with_several_of_each_item(labels, items):
    shop = items.only("item")
    tasks = [*labels.catalogue.select("gender"), *shop.catalogue.select("item")]
    batches = Batches([labels, shop], tasks)
    order = training_order(batches, MIXED)
    epoch = list(order.batches(0))
    assert len(epoch) == len(order) == (32 + len(order.items.rows)) // 12
    seen = np.concatenate([batch[:6] for batch in epoch[: 32 // 6]])
    assert len(set(seen)) == len(seen) and set(seen) <= set(range(32))  # none twice before all had their turn
    for batch in epoch:
        assert (batch[6:] >= 48).all()
        counts = Counter(batches.targets["item"][batch[6:]])
        assert set(counts.values()) == {2} and len(counts) == 3
    assert not all(np.array_equal(a, b) for a, b in zip(epoch, order.batches(1), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(epoch[2:], order.batches(0, start=2), strict=True))


def test_processes_divide_every_batch_in_whole_items(labels, items):
    shop = items.only("item")
    batches = Batches([labels, shop], [*labels.catalogue.select("gender"), *shop.catalogue.select("item")])
    order = training_order(batches, replace(MIXED, batch_size=16))
    for whole in order.batches(0):
        one, two = (whole[share(whole, order.together, process, 2)] for process in (0, 1))
        assert sorted([*one, *two]) == sorted(whole) and len(one) == len(two) == 8
        for part in (one, two):
            assert set(Counter(batches.targets["item"][part[4:]]).values()) == {2}


def test_fit_learns_from_both_and_is_resumable(labels, items, tmp_path):
    shop = items.only("item")
    run = fit(joint_model(labels, shop), [labels, shop], MIXED, tmp_path / "run")
    row = run.history.iloc[-1]
    assert (row[["loss/gender", "loss/words", "loss/item"]] > 0).all()
    first = {p.catalogue.name: predict(run.model, p, "val").metrics() for p in (labels, shop)}
    assert row["gender/accuracy"] == pytest.approx(first["tiny"]["gender"]["accuracy"])
    assert row["item/recall_at_1"] == pytest.approx(first["shop"]["item"]["recall_at_1"])
    combined = [first["tiny"]["gender"]["accuracy"], first["tiny"]["words"]["map"], row["item/recall_at_1"]]
    assert row["score"] == pytest.approx(np.mean(combined))
    again = fit(joint_model(labels, shop), [labels, shop], MIXED, tmp_path / "run")
    assert again.found and same_weights(again.model, run.model)


def test_a_stage_sees_the_catalogue_of_its_tasks_alone(labels, items):
    shop = items.only("item")
    batches = Batches([labels, shop], [*labels.catalogue.select("gender"), *shop.catalogue.select("item")])
    of_labels = np.concatenate(list(training_order(batches, SETTINGS, Stage("labels", ("gender",))).batches(0)))
    assert set(of_labels) == set(range(32))
    of_items = np.concatenate(
        list(training_order(batches, MIXED, Stage("items", ("item",), sampler="items")).batches(0))
    )
    assert (of_items >= 48).all()


def test_images_seen_are_those_of_the_batches_of_every_stage(labels, items, tmp_path):
    """The second stage has fewer images than a batch of the first."""
    shop = items.only("item")
    stages = [Stage("labels", ("gender",), 2), Stage("items", ("item",))]
    settings = replace(MIXED, sampler="shuffle", batch_size=32)
    batches = Batches([labels, shop], joint_model(labels, shop).tasks.values())
    drawn = [sum(map(len, training_order(batches, settings, s).batches(0))) for s in stages for _ in range(s.epochs)]
    run = fit(joint_model(labels, shop), [labels, shop], settings, tmp_path / "run", stages)
    assert run.history["images_seen"].tolist() == np.cumsum(drawn).tolist()


def test_with_mixed_batches_losses_that_do_not_count_change_neither_images_nor_backbone(labels, items, tmp_path):
    shop = items.only("item")
    weightless = replace(MIXED, loss_weights={"words": 0.0, "item": 0.0})
    one, two = (
        fit(joint_model(labels, shop), [labels, shop], settings, tmp_path / name, [Stage("train", tasks, 2)])
        for name, settings, tasks in (("left_out", MIXED, ("gender",)), ("weightless", weightless, None))
    )
    start = joint_model(labels, shop).state_dict()
    for name, tensor in one.model.state_dict().items():
        if name.startswith(("body.", "heads.gender.")):
            assert torch.equal(tensor, two.model.state_dict()[name])
        elif name.startswith("heads."):
            assert torch.equal(tensor, start[name])


def test_clashing_tasks_are_refused_and_the_message_says_how_to_choose(labels, items, tmp_path):
    model = joint_model(labels, items.only("item"))
    with pytest.raises(ValueError, match="task 'gender' is in tiny and shop, with other classes .*data.only"):
        fit(model, [labels, items], MIXED, tmp_path / "run")
    whole = tiny_data().only("gender", "words", "item")
    with pytest.raises(ValueError, match="task 'item' is in tiny and shop, whose items cannot be told apart"):
        fit(model, [whole, items.only("item")], MIXED, tmp_path / "run")
    with pytest.raises(ValueError, match="catalogues of different names, not tiny, tiny"):
        fit(model, [labels, labels], MIXED, tmp_path / "run")
    with pytest.raises(CatalogueError, match="shop: no task 'words'"):
        items.only("words")
    assert not (tmp_path / "run").exists()


def test_a_task_without_a_label_in_an_epoch_is_refused(labels, tmp_path):
    table = tiny_table()
    table.loc[table["split"] == "train", "item"] = None
    unknown = tiny_data(table)
    stages = [Stage("labels", ("gender",)), Stage("items", ("item",))]
    with pytest.raises(ValueError, match="stage 'items': .* 'shuffle' draws has a label of task 'item'; leave"):
        fit(tiny_model(unknown, "gender", "item"), unknown, SETTINGS, tmp_path / "run", stages)


@pytest.mark.parametrize(("sampler", "task"), [("items", "gender"), ("balanced", "item")])
def test_a_sampler_that_draws_no_label_of_a_task_is_refused(labels, items, tmp_path, sampler, task):
    """Labels and items are in two catalogues; this sampler draws from one of them alone."""
    settings = replace(MIXED, sampler=sampler)
    with pytest.raises(ValueError, match=f"no training image that sampler '{sampler}' draws has a label of .*{task}"):
        fit(joint_model(labels, items), [labels, items.only("item")], settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_batch_without_a_label_or_a_pair_counts_for_nothing(tmp_path):
    """Gender is known of one image in 32, and one item has two images, which are seldom in one batch."""
    table = tiny_table()
    table.loc[1:31, "gender"] = None
    table["item"] = [f"only {max(k, 1)}" for k in range(len(table))]
    data = tiny_data(table)
    run = fit(tiny_model(data, "gender", "taxonomy", "item"), data, SETTINGS, tmp_path / "run")
    assert np.isfinite(run.history[["loss/gender", "loss/item"]]).all(axis=None)
    assert (run.history["loss/taxonomy"] > 0).all()


@pytest.mark.parametrize(
    ("settings", "tasks", "message"),
    [
        (replace(MIXED, batch_size=4, item_share=0.1), ("gender", "item"), "leaves one part empty"),
        (MIXED, ("item",), "take the sampler 'items'"),
        (MIXED, ("gender",), "needs a Similarity task"),
        (replace(MIXED, per_item=1), ("gender", "item"), "per_item 1 must be over 1"),
    ],
)
def test_a_mixture_that_cannot_be_made_is_refused(settings, tasks, message):
    data = tiny_data()
    with pytest.raises(ValueError, match=message):
        training_order(Batches([data], data.catalogue.select(*tasks)), settings)


def test_a_label_in_two_catalogues_is_validated_on_both(labels, tmp_path):
    table = tiny_table()
    table["image"] = "more/" + table["image"]
    more = tiny_data(table, seed=3).only("gender", "words")
    more.catalogue.name = "more"
    run = fit(tiny_model(labels), [labels, more], replace(SETTINGS, epochs=1), tmp_path / "run")
    right = [predict(run.model, part, "val").labels()["gender"] for part in (labels, more)]
    hits = np.concatenate([said.index == truth for said, truth in right])
    assert run.history["gender/accuracy"].item() == pytest.approx(hits.mean()) and len(hits) == 16
    with pytest.raises(ValueError, match="gender.* in several catalogues"):
        outcomes_of(run.model, [labels, more], tmp_path)


def test_a_catalogue_that_has_no_task_of_the_model_is_refused(labels, items, tmp_path):
    with pytest.raises(ValueError, match="tiny has none of the model's tasks item; leave it out"):
        fit(tiny_model(items.only("item")), [items.only("item"), labels], SETTINGS, tmp_path / "run")


def test_items_of_one_image_each_are_refused(tmp_path):
    """A triplet loss of no pairs is zero: the embedding would stay as it was drawn."""
    table = tiny_table()
    table["item"] = [f"sku {row}" for row in range(len(table))]
    alone = tiny_data(table)
    with pytest.raises(ValueError, match="another of its item; leave task 'item' out"):
        fit(tiny_model(alone, "gender", "item"), alone, SETTINGS, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_classes_that_the_model_lacks_are_named(tmp_path):
    table = tiny_table()
    model = tiny_model(tiny_data(table), "gender")
    known = table["gender"].iloc[0]
    other = tiny_data(table.assign(gender=table["gender"].where(table["gender"] == known, "Aliens")))
    with pytest.warns(UserWarning, match="1 classes of 'gender' there are not in the model: .'Aliens'"):
        fit(model, other, SETTINGS, tmp_path / "run")


def test_a_task_of_another_kind_in_the_catalogue_is_refused(labels, tmp_path):
    """Of "Men;Women" a single label would know nothing, and mask it."""
    shop = labels.catalogue
    several = Catalogue(shop.table.assign(gender="Men;Women"), [MultiLabel("gender")], NoFiles(), "several")
    data = ImageData(several, labels.pixels, labels.position)
    with pytest.raises(ValueError, match="gender' is in several, as a MultiLabel; the model has a SingleLabel"):
        fit(tiny_model(labels, "gender"), data, SETTINGS, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_items_without_a_proxy_are_refused(items, tmp_path):
    task = items.catalogue.task("item", loss_function="proxy-anchor")
    model = MultitaskModel("resnet_tiny", [task], size=items.size)
    other = items.with_split(np.roll(items.catalogue.table["split"], 6))
    with pytest.raises(ValueError, match="2 of its training items have no proxy; build the model anew"):
        fit(model, other, replace(SETTINGS, sampler="items", per_item=2), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("images", "warned"), [(3, True), (40, False)])
def test_a_shuffled_order_warns_where_hardly_a_batch_has_two_images_of_an_item(images, warned):
    n = 1200
    table = pd.DataFrame({"image": [f"{k}.png" for k in range(n)], "split": "train"})
    table["item"] = [f"q{k // images}" for k in range(n)]
    catalogue = Catalogue(table, [Similarity("item", dimension=16)], NoFiles(), "shop")
    data = ImageData(catalogue, np.zeros((n, 2, 2, 3), np.uint8), np.arange(n))
    batches, settings = Batches([data], catalogue.select("item")), replace(SETTINGS, batch_size=16)
    order = training_order(batches, settings)
    epoch = [batches.targets["item"][batch] for batch in order.batches(0)]
    assert (np.mean([len(set(items)) == len(items) for items in epoch]) > 0.5) == warned  # by counting
    with pytest.warns(UserWarning, match="take the sampler 'mixed' or 'items'") if warned else nullcontext():
        training_order(batches, settings)
