"""Which rows an epoch sees: balanced classes, several images of an item."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fashionlib.evaluation.predict import predict
from fashionlib.models import MultitaskModel
from fashionlib.training.batches import Batches, training_order
from fashionlib.training.fit import fit
from fashionlib.training.samplers import BalancedOrder, ItemOrder, Order
from tiny import SETTINGS, tiny_data, tiny_table


def test_balanced_order_draws_every_class_equally_often_and_no_unlabelled_row():
    rows = np.arange(100, 2100)
    classes = np.repeat([0, 1, 2, -1], [1500, 300, 100, 100])
    drawn = np.concatenate(list(BalancedOrder(rows, classes, 50, seed=0).batches(0)))
    assert len(drawn) == 1900
    share = np.bincount(classes[drawn - 100], minlength=3) / len(drawn)
    assert np.abs(share - 1 / 3).max() < 0.04


def test_item_order_has_several_images_of_each_item_in_every_batch():
    items = np.array([0, 0, 1, 1, 1, 2, -1, 3, 3, 3, 3, -1, 4, 4])  # item 2 has a single image
    rows = np.arange(len(items)) * 10
    batches = list(ItemOrder(rows, items, 6, 2, seed=1).batches(0))
    assert len(batches) == 11 // 6
    for batch in batches:
        found, counts = np.unique(items[batch // 10], return_counts=True)
        assert (counts == 2).all() and len(found) == 3
        assert not {2, -1} & set(found)


@pytest.mark.parametrize("kind", ["items", "balanced", "shuffle"])
def test_orders_depend_on_seed_and_epoch_alone(kind):
    rows, labels = np.arange(64), np.arange(64) // 4

    def flat(seed=0, epoch=0):
        order = {
            "items": lambda: ItemOrder(rows, labels, 16, 4, seed),
            "balanced": lambda: BalancedOrder(rows, labels, 16, seed),
            "shuffle": lambda: Order(rows, 16, seed),
        }[kind]()
        return np.concatenate(list(order.batches(epoch))).tolist()

    first = flat()
    np.random.seed(5)  # somebody else's chance has no part in it
    assert first == flat()
    assert flat(epoch=1) != first != flat(seed=1)


def test_item_order_says_what_does_not_fit():
    rows, items = np.arange(8), np.arange(8) // 2
    with pytest.raises(ValueError, match="needs 8 items with two or more training images; there are 4"):
        ItemOrder(rows, items, 16, 2, seed=0)
    with pytest.raises(ValueError, match="per_item 3 must be over 1, a proper divisor of 16"):
        ItemOrder(rows, items, 16, 3, seed=0)
    with pytest.raises(ValueError, match="a proper divisor of 4"):  # of one item: nothing to tell it from
        ItemOrder(rows, np.arange(8) // 4, 4, 4, seed=0)


def test_settings_choose_the_order_by_the_tasks_of_the_model():
    data = tiny_data()
    batches = Batches([data], data.catalogue.select("gender", "item"))
    assert type(training_order(batches, SETTINGS)) is Order
    balanced = training_order(batches, replace(SETTINGS, sampler="balanced"))
    assert isinstance(balanced, BalancedOrder) and 5 not in balanced.rows  # its gender is missing
    assert isinstance(training_order(batches, replace(SETTINGS, sampler="items", per_item=2)), ItemOrder)
    only_words = Batches([data], data.catalogue.select("words"))
    with pytest.raises(ValueError, match="sampler 'items' needs a Similarity task; take 'shuffle' for words"):
        training_order(only_words, replace(SETTINGS, sampler="items"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mining": "semi-hard"},
        {"loss_function": "multi-similarity"},
        {"loss_function": "proxy-anchor"},
    ],
    ids=lambda changes: "-".join(changes.values()) or "batch-hard",
)
def test_embeddings_learn_to_tell_items_apart(changes, tmp_path):
    """Images of an item share a faint pattern under heavy noise: only a trained embedding brings them together."""
    table = tiny_table(train=32, val=8, test=0)
    data = tiny_data(table)
    rng = np.random.default_rng(0)
    pattern = rng.integers(0, 60, (len(table) // 4, *data.pixels.shape[1:]))
    table["item"] = [f"p{i // 4}" for i in range(len(table))]
    data = tiny_data(table)
    data.pixels[:] = rng.integers(0, 190, data.pixels.shape) + np.repeat(pattern, 4, axis=0)
    torch.manual_seed(0)
    model = MultitaskModel("resnet_tiny", [data.catalogue.task("item", **changes)], size=data.size)

    def recall(model):
        return predict(model, data, "train").metrics()["item"]["recall_at_1"]

    before = recall(model)
    settings = replace(SETTINGS, epochs=25, sampler="items", per_item=2, shift=0, flip=0, erase=0, ema_decay=0)
    assert before < 0.5 and recall(fit(model, data, settings, tmp_path / "run").model) > 0.7
