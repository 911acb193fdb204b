"""Tasks: losses against plain loops, the taxonomy's sums over paths, what counts in the metrics."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from fashionlib.tasks import Hierarchy, MultiLabel, Similarity, SingleLabel, task_from_dict
from fashionlib.tasks.labels import MISSING, UNSEEN, encode_labels, log_sum_by

COLOUR = SingleLabel("colour", classes=("blue", "green", "red"))
TAXONOMY = Hierarchy(
    "taxonomy",
    levels=("master", "sub", "article"),
    paths=(("A", "A1", "x"), ("A", "A1", "y"), ("A", "A2", "y"), ("B", "B1", "x"), ("B", "B1", "z")),
)
WORDS = MultiLabel("words", classes=("long", "red", "wool"))


def softmax(row):
    powers = [math.exp(v) for v in row]
    return [p / sum(powers) for p in powers]


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_single_label_loss_is_the_mean_over_labelled_rows():
    output, target = randn(6, 3), torch.tensor([0, 2, MISSING, 1, UNSEEN, 2])
    each = [-math.log(softmax(row)[t]) for row, t in zip(output.tolist(), target.tolist(), strict=True) if t >= 0]
    assert COLOUR.loss(output, target).item() == pytest.approx(sum(each) / 4, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_label_smoothing_is_torchs_for_single_labels_and_levels(smoothing):
    output, target = randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    expected = F.cross_entropy(output, target, label_smoothing=smoothing)
    torch.testing.assert_close(COLOUR.loss(output, target, smoothing), expected)
    flat = Hierarchy("colour", levels=("colour",), paths=(("blue",), ("green",), ("red",)))
    torch.testing.assert_close(flat.loss(output, target[:, None], smoothing), expected)


def test_hierarchy_loss_sums_over_paths_and_masks_each_level():
    output = randn(4, 5)
    table = pd.DataFrame(
        [("A", "A1", "y"), ("B", None, None), (None, None, "x"), ("A", "A2", "never seen")], columns=TAXONOMY.levels
    )
    expected = 0.0
    for level, name in enumerate(TAXONOMY.levels):
        each = []
        for row, label in zip(output.tolist(), table[name], strict=True):
            inside = [p for p, path in zip(softmax(row), TAXONOMY.paths, strict=True) if path[level] == label]
            each += [-math.log(sum(inside))] if inside else []
        expected += sum(each) / len(each)
    target = torch.from_numpy(TAXONOMY.encode(table))
    assert TAXONOMY.loss(output, target).item() == pytest.approx(expected, rel=1e-5)


def test_multilabel_loss_ignores_unknown_entries():
    output = randn(3, 3)
    target = torch.tensor([[1, 0, MISSING], [MISSING] * 3, [0, 1, 1]], dtype=torch.int8)
    total = 0.0
    for row, truth in zip(output.tolist(), target.tolist(), strict=True):
        for value, t in zip(row, truth, strict=True):
            if t != MISSING:
                p = 1 / (1 + math.exp(-value))
                total -= math.log(p if t else 1 - p)
    assert WORDS.loss(output, target).item() == pytest.approx(total / 2, rel=1e-5)  # two rows have labels


@pytest.mark.parametrize(
    ("task", "target", "width"),
    [
        (COLOUR, torch.tensor([MISSING, UNSEEN]), 3),
        (TAXONOMY, torch.full((2, 3), MISSING), 5),
        (WORDS, torch.full((2, 3), MISSING, dtype=torch.int8), 3),
        (Similarity("item"), torch.tensor([MISSING, 4]), 8),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_without_a_label_loss_and_gradient_are_zero(task, target, width):
    output = randn(2, width).requires_grad_()
    loss = task.loss(output, target, 0.1)
    loss.backward()
    assert loss.item() == 0 and torch.equal(output.grad, torch.zeros_like(output))


def test_log_sum_by_against_a_loop_and_its_gradient():
    values, column = randn(3, 5).double() * 4, torch.tensor([0, 2, 0, 1, 2])
    result = log_sum_by(values, column, 3)
    for i in range(3):
        for k in range(3):
            inside = [math.exp(values[i, p]) for p in range(5) if column[p] == k]
            assert result[i, k].item() == pytest.approx(math.log(sum(inside)), abs=1e-9)
    assert torch.autograd.gradcheck(lambda v: log_sum_by(v, column, 3), values.requires_grad_())


def test_level_probabilities_sum_over_paths_and_the_predicted_path_is_possible():
    logits = randn(400, 5, seed=1) * 5
    activations = TAXONOMY.activate(logits).numpy()
    predicted = TAXONOMY.predict(activations)
    for level, (name, classes) in enumerate(TAXONOMY.labels.items()):
        for k, label in enumerate(classes):
            inside = [p for p, path in enumerate(TAXONOMY.paths) if path[level] == label]
            np.testing.assert_allclose(predicted[name].probabilities[:, k], activations[:, inside].sum(1), rtol=1e-5)
        np.testing.assert_allclose(predicted[name].probabilities.sum(1), 1, rtol=1e-5)
    names = [np.array(TAXONOMY.labels[level])[predicted[level].index] for level in TAXONOMY.levels]
    triples = set(zip(*names, strict=True))
    assert triples == set(TAXONOMY.paths)  # never an impossible one, and each possible one is reached


def test_learn_takes_classes_from_labelled_rows_in_alphabetical_order():
    train = pd.DataFrame(
        {"colour": ["red", None, "blue"], "master": ["B", "A", "A"], "sub": ["b", "a", None], "words": ["w;r", "", "r"]}
    )
    assert SingleLabel("colour").learn(train).classes == ("blue", "red")
    assert Hierarchy("t", levels=("master", "sub")).learn(train).paths == (("A", "a"), ("B", "b"))
    assert MultiLabel("words").learn(train).classes == ("r", "w")
    assert MultiLabel("words", minimum=2).learn(train).classes == ("r",)
    assert MultiLabel("words", classes=("fixed",)).learn(train).classes == ("fixed",)


def test_encoding_tells_missing_from_unseen():
    column = pd.Series(["red", None, "purple", np.nan, "blue"])
    assert encode_labels(column, COLOUR.classes).tolist() == [2, MISSING, UNSEEN, MISSING, 0]
    table = pd.DataFrame({"words": ["wool;long", "", None, "red;unheard", "red"]})
    expected = [[1, 0, 1], [0, 0, 0], [MISSING] * 3, [0, 1, 0], [0, 1, 0]]
    assert WORDS.encode(table).tolist() == expected
    items = Similarity("item").encode(pd.DataFrame({"item": ["p2", None, "p1", "p2"]}))
    assert items[1] == MISSING and items[0] == items[3] != items[2] and (items[[0, 2]] >= 0).all()


def test_unseen_counts_as_an_error_and_missing_does_not_count():
    activations = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    scores = COLOUR.metrics(activations, np.array([0, 1, MISSING, UNSEEN]))["colour"]
    assert scores["accuracy"] == pytest.approx(2 / 3)  # of three known labels, the unseen one is wrong
    assert scores["top3_accuracy"] == pytest.approx(2 / 3)
    path = np.eye(5, dtype=np.float32)[[0, 3]]
    levels = TAXONOMY.metrics(path, np.array([[0, 0, MISSING], [1, UNSEEN, 0]]))
    assert [levels[name]["accuracy"] for name in TAXONOMY.levels] == [1.0, 0.5, 1.0]


@pytest.mark.parametrize(
    "task",
    [
        COLOUR,
        SingleLabel("year", classes=("2012",), evaluated=False),
        TAXONOMY,
        MultiLabel("words", classes=("a", "b"), groups=("g", "h"), minimum=3),
        Similarity("item", dimension=8, margin=0.3, evaluated=False),
    ],
    ids=lambda task: task.name,
)
def test_a_task_survives_json(task):
    assert task_from_dict(json.loads(json.dumps(task.to_dict()))) == task


def test_an_unknown_kind_of_task_is_refused():
    with pytest.raises(ValueError, match="'Guess' is not one of .*SingleLabel"):
        task_from_dict({"kind": "Guess", "name": "x"})


def test_embeddings_have_unit_length_and_the_triplet_loss_is_the_hand_computed_one():
    pytest.importorskip("pytorch_metric_learning")
    task = Similarity("item", margin=0.2)
    angles = torch.tensor([0.0, 30.0, 20.0, 90.0]).deg2rad()
    output = torch.stack([angles.cos(), angles.sin()], 1) * torch.tensor([1.0, 2.0, 5.0, 0.5])[:, None]
    np.testing.assert_allclose(task.activate(output).norm(dim=1), 1, rtol=1e-6)

    def distance(a, b):
        return 2 * math.sin(math.radians(abs(a - b)) / 2)  # the chord

    # 0 and 30 degrees are one item, 20 and 90 another; the hardest negative of 0 and 30 is 20, of 20 and 90 it is 30
    triplets = [(0, 30, 20), (30, 0, 20), (20, 90, 30), (90, 20, 30)]
    violations = [distance(a, p) - distance(a, n) + 0.2 for a, p, n in triplets]
    expected = np.mean([v for v in violations if v > 0])  # the mean over triplets that violate the margin
    assert task.loss(output, torch.tensor([0, 0, 1, 1])).item() == pytest.approx(expected, rel=1e-4)
    with_unknown = torch.cat([output, torch.ones(1, 2)])
    assert task.loss(with_unknown, torch.tensor([0, 0, 1, 1, MISSING])).item() == pytest.approx(expected, rel=1e-4)


def test_given_classes_are_spelled_as_cells_are():
    assert SingleLabel("size", classes=["37.0", " 38"]).encode(pd.DataFrame({"size": ["37", "38"]})).tolist() == [0, 1]
    sizes = MultiLabel("sizes", classes=["size:37.0", "size:38"])
    assert sizes.encode(pd.DataFrame({"sizes": ["size:37", "size:38"]})).tolist() == [[1, 0], [0, 1]]


def test_balanced_classes_count_the_same_and_images_count_one_on_average():
    train = pd.DataFrame({"colour": ["red"] * 6 + ["blue"] * 2})
    task = dataclasses.replace(COLOUR, balance=1.0).learn(train)
    blue, green, red = task.class_weights
    assert blue * 2 == pytest.approx(red * 6, rel=1e-4) and green == 1
    assert (blue * 2 + red * 6) / 8 == pytest.approx(1, rel=1e-4)
    output, target = randn(4, 3), torch.tensor([0, 2, 2, 2])
    each = [-math.log(softmax(row)[t]) for row, t in zip(output.tolist(), target.tolist(), strict=True)]
    expected = (blue * each[0] + red * sum(each[1:])) / (blue + 3 * red)
    assert task.loss(output, target).item() == pytest.approx(expected, rel=1e-5)


def test_a_question_mark_says_that_nobody_knows():
    table = pd.DataFrame({"words": ["red;?wool", "", None, "?long;?red", "?never seen;wool"]})
    assert WORDS.encode(table).tolist() == [[0, 1, -1], [0, 0, 0], [-1, -1, -1], [-1, -1, 0], [0, 0, 1]]
    learned = MultiLabel("words").learn(table)
    assert learned.classes == ("red", "wool")


def test_groups_come_from_the_names_of_classes():
    table = pd.DataFrame({"words": ["fit:slim;brand:acme", "striped", "fit:slim"]})
    learned = MultiLabel("words").learn(table)
    assert dict(zip(learned.classes, learned.groups, strict=True)) == {
        "brand:acme": "brand",
        "fit:slim": "fit",
        "striped": "",
    }
    assert task_from_dict(json.loads(json.dumps(learned.to_dict()))) == learned


def test_positive_weights_are_negatives_over_positives():
    table = pd.DataFrame({"words": ["red", "red;long", "", "", None]})
    task = dataclasses.replace(WORDS, balance=1.0).learn(table)
    assert task.positive_weights == pytest.approx((3, 1, 3))  # long 1 of 4, red 2 of 4, wool never: as if once
    unknown = pd.concat([table, pd.DataFrame({"words": ["?long;red", "?long;?wool"]})])  # says nothing of long
    assert dataclasses.replace(WORDS, balance=1.0).learn(unknown).positive_weights == pytest.approx((3, 1, 4))
    output, target = randn(2, 3), torch.tensor([[1, 0, 0], [0, 1, MISSING]])
    p = output.sigmoid()
    each = [
        -3 * math.log(p[0, 0]) - math.log(1 - p[0, 1]) - math.log(1 - p[0, 2]),
        -math.log(1 - p[1, 0]) - math.log(p[1, 1]),
    ]
    assert task.loss(output, target).item() == pytest.approx(sum(each) / 2, rel=1e-5)


def test_asymmetric_loss_is_the_papers():
    task = dataclasses.replace(WORDS, loss_function="asymmetric")
    output, target = 3 * randn(4, 3), torch.tensor([[1, 0, 0], [0, 1, MISSING], [0, 0, 0], [1, 1, 1]])
    total = 0.0
    for row, truth in zip(output.tolist(), target.tolist(), strict=True):
        for logit, y in zip(row, truth, strict=True):
            p = 1 / (1 + math.exp(-logit))
            shifted = max(p - 0.05, 0)
            total += {1: -math.log(p), 0: -(shifted**4) * math.log(1 - shifted), -1: 0}[y]
    assert task.loss(output, target).item() == pytest.approx(total / 4, rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiLabel("words", loss_function="focal"), "loss_function\n"),
        (lambda: MultiLabel("words", balance=1, loss_function="asymmetric"), "balance is for the loss 'bce'"),
        (lambda: MultiLabel("words", classes=("a",), groups=("x", "y")), "2 groups for 1 classes"),
        (lambda: MultiLabel("words", classes=("a;b",)), "class 'a;b' must not hold"),
        (lambda: MultiLabel("words", classes=("a", "b", "a ")), "class 'a' must not .* come twice"),
        (lambda: Similarity("item", mining="easy"), "mining\n"),
        (lambda: Similarity("item", loss_function="contrastive"), "loss_function\n"),
    ],
)
def test_tasks_refuse_what_makes_no_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_triplet_loss_with_the_hardest_pairs_is_a_plain_loop():
    output, target = randn(6, 4), torch.tensor([0, 0, 1, 1, 2, 2])
    unit = F.normalize(output, dim=1)
    each = []
    for i in range(6):
        similar = [float((unit[i] - unit[j]).norm()) for j in range(6) if j != i and target[j] == target[i]]
        other = [float((unit[i] - unit[j]).norm()) for j in range(6) if target[j] != target[i]]
        each.append(max(0.0, max(similar) - min(other) + 0.7))
    positive = [value for value in each if value > 0]  # the mean is over triplets that violate the margin
    task = Similarity("item", margin=0.7)
    assert task.loss(output, target).item() == pytest.approx(sum(positive) / len(positive), rel=1e-4)


def test_triplet_loss_with_semi_hard_negatives_is_a_plain_loop():
    output, target = randn(6, 4), torch.tensor([0, 0, 1, 1, 2, 2])
    distance, each = torch.cdist(*[F.normalize(output, dim=1)] * 2).tolist(), []
    for a, p, n in itertools.product(range(6), repeat=3):
        similar, other = distance[a][p], distance[a][n]
        if a != p and target[a] == target[p] != target[n] and similar < other < similar + 0.5:
            each.append(similar - other + 0.5)
    task = Similarity("item", margin=0.5, mining="semi-hard")
    assert task.loss(output, target).item() == pytest.approx(sum(each) / len(each), rel=1e-4)


def test_proxies_belong_to_the_training_items_and_are_learned():
    table = pd.DataFrame({"item": ["b", "a", None, "b"]})
    task = Similarity("item", dimension=4, loss_function="proxy-anchor").learn(table)
    assert task.items == ("a", "b")
    assert task.encode(pd.DataFrame({"item": ["new", "b", None, "a"]})).tolist() == [2, 1, MISSING, 0]
    head = task.head(8)
    task.loss(head(randn(4, 8)), torch.from_numpy(task.encode(table)), head=head).backward()
    assert head.loss.proxies.shape == (2, 4) and head.loss.proxies.grad.abs().sum() > 0


def test_a_class_that_comes_twice_is_refused():
    with pytest.raises(ValueError, match="'kind': a class comes twice"):
        SingleLabel("kind", classes=("shirt", "shoe", "shirt "))
