"""What this study's tables show beside accuracies: floors, mistakes, classes one by one, leaks."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_fscore_support

from fashionlib.data.images import ImageData
from fashionlib.evaluation.comparison import comparison_table
from fashionlib.evaluation.inference import BATCH
from fashionlib.evaluation.outcomes import outcomes, ranking_outcome
from fashionlib.evaluation.predict import Predictions
from fashionlib.metrics.attributes import average_precisions, f1
from fashionlib.metrics.bootstrap import percentile_interval, resampled_means
from fashionlib.metrics.ranking import Ranking
from fashionlib.shop.duplicates import join_groups
from fashionlib.shop.index import open_index
from fashionlib.tasks import MultiLabel, SingleLabel
from fashionlib.tasks.labels import known


def accuracy_table(*runs: Predictions, ks: Sequence[int] = (3,), repeats: int = 1000, seed: int = 0) -> pd.DataFrame:
    """One row per label: task, n_test, n_classes, accuracy with its std, ci_low and ci_high, macro_f1, top3_accuracy
    (or that of other ``ks``), n_seeds. Counted as in ``outcomes``; several runs, one a seed, as in
    ``comparison_table``. NaN for a label that no image has."""
    classes = {label: len(runs[0].classes(label)) for label in runs[0].labels()}
    single = [{label: found for label, found in outcomes(run, ks=ks).items() if label in classes} for run in runs]
    found = comparison_table({"": single}, repeats, seed).set_index("task")
    others = ["macro_f1", *(f"top{k}_accuracy" for k in ks)]
    table = found[found["metric"] == "accuracy"].rename(columns={"mean": "accuracy"})
    table = table.join(found.pivot(columns="metric", values="mean")[others]).assign(n_classes=pd.Series(classes))
    columns = ["task", "n_test", "n_classes", "accuracy", "std", "ci_low", "ci_high", *others, "n_seeds"]
    return table.reset_index()[columns]


def prior(data: ImageData, labels: Sequence[str], split: str = "test") -> Predictions:
    """What is said without looking: of every single or many-label column how often training has each class, and so the
    most frequent one. The floor of every metric. Raises ``ValueError`` for a label that training does not have."""
    train, rows = data.catalogue.table[data.catalogue.table["split"] == "train"], data.catalogue.rows(split)
    tasks, frequencies = {}, {}
    for label in labels:
        task = data.catalogue.tasks.get(data.catalogue.column(label).name)
        tasks[label] = task = task if isinstance(task, MultiLabel | SingleLabel) else SingleLabel(label).learn(train)
        truth = task.encode(train)
        if not (truth >= 0).any():
            raise ValueError(f"{data.catalogue.name}: no training image has a label in column {label!r}")
        if truth.ndim == 1:
            truth = np.eye(len(task.classes), dtype=np.int8)[truth[truth >= 0]]
        frequency = (truth == 1).sum(0) / np.maximum((truth >= 0).sum(0), 1)
        frequencies[label] = np.tile(frequency.astype(np.float32), (len(rows), 1))
    return Predictions.beside_truth(tasks, data, rows, frequencies)


def impossible_rate(predictions: Predictions, levels: Sequence[str], train: pd.DataFrame) -> float:
    """Share of images whose predicted path through ``levels`` never occurs in the training table."""
    possible = set(train[list(levels)].dropna().itertuples(index=False, name=None))
    found = predictions.labels()
    names = [np.array(predictions.classes(level), dtype=object)[found[level][0].index] for level in levels]
    return float(np.mean([path not in possible for path in zip(*names, strict=True)]))


def per_class_table(predictions: Predictions, label: str) -> pd.DataFrame:
    """Precision, recall, F1 and test images of every class of a label."""
    classes = predictions.classes(label)
    _, index, truth = known(*predictions.labels()[label])
    scores = precision_recall_fscore_support(truth, index, labels=range(len(classes)), zero_division=0)
    columns = dict(zip(("precision", "recall", "f1", "n_test"), scores, strict=True))
    return pd.DataFrame({"task": label, "class": classes, **columns})


def confusions(predictions: Predictions, label: str, top: int = 12) -> pd.DataFrame:
    """The most frequent mistakes of a label: true, predicted, images, and their share of the true class."""
    classes = np.array(predictions.classes(label), dtype=object)
    _, index, truth = known(*predictions.labels()[label])
    seen = truth >= 0
    pairs = pd.DataFrame({"true": classes[truth[seen]], "predicted": classes[index[seen]]})
    wrong = pairs[pairs["true"] != pairs["predicted"]].value_counts().head(top).reset_index(name="images")
    return wrong.assign(share_of_true=wrong["images"] / wrong["true"].map(pairs["true"].value_counts()).astype(float))


def attribute_table(
    probabilities: np.ndarray, truth: np.ndarray, classes: Sequence[str], groups: Sequence[str] = (), thresholds=None
) -> pd.DataFrame:
    """One row per class: attribute, group, n_test (positives), prevalence, average_precision, lift (how many times the
    prevalence, which is what a constant answer reaches), and f1 where thresholds are given."""
    known, positive = truth >= 0, truth == 1
    table = pd.DataFrame({"attribute": classes, "group": groups or "", "n_test": positive.sum(0)})
    table["prevalence"] = positive.sum(0) / np.maximum(known.sum(0), 1)
    table["average_precision"] = average_precisions(probabilities, truth)
    table["lift"] = table["average_precision"] / table["prevalence"]
    return table if thresholds is None else table.assign(f1=f1((probabilities >= thresholds) & known, positive))


def ranking_table(rankings: Mapping[str, Ranking], repeats: int = 1000) -> pd.DataFrame:
    """Every metric of some rankings of the same queries, by the name of the embedding: embedding, metric, value, ci_low
    and ci_high (95%, over items), n_queries, n_excluded."""
    found = comparison_table({name: [{"item": ranking_outcome(r)}] for name, r in rankings.items()}, repeats)
    found = found.rename(columns={"configuration": "embedding", "mean": "value", "n_test": "n_queries"})
    excluded = found["embedding"].map({name: ranking.n_excluded for name, ranking in rankings.items()})
    return found.drop(columns=["task", "std", "n_seeds"]).assign(n_excluded=excluded)


def colour_histograms(data: ImageData, rows: np.ndarray, bins: int = 8) -> np.ndarray:
    """How often each colour occurs in some rows, unit-length float32 (N, bins**3); a baseline that learns nothing.

    A joint histogram of red, green and blue (Swain and Ballard, 1991), square-rooted, so that the cosine of two of
    them is the Bhattacharyya coefficient (as the Hellinger kernel of Arandjelovic and Zisserman, 2012). The white
    background counts: its share is the size of the garment."""
    level, parts = np.arange(256, dtype=np.int64) * bins // 256, []
    for start in range(0, len(rows), BATCH):
        pixels = data.fetch(rows[start : start + BATCH]).numpy()  # (B, H, W, 3)
        colour = (level[pixels[..., 0]] * bins + level[pixels[..., 1]]) * bins + level[pixels[..., 2]]
        parts += [np.bincount(image.ravel(), minlength=bins**3) / image.size for image in colour]
    return np.sqrt(parts).astype(np.float32)


def leakage(data: ImageData, pairs: np.ndarray) -> pd.DataFrame:
    """What a split leaks: how many test images (or those of query and gallery) have, in training, another image of
    their item, a near-duplicate (directly or through others), or either."""
    table = data.catalogue.table
    train, test = (table["split"] == "train").to_numpy(), ~table["split"].isin(("train", "val")).to_numpy()
    alone = pd.Series(index=table.index, dtype=object)
    kinds = {"same item": table.get("item", alone), "near-duplicate image": pd.Series(join_groups(len(table), pairs))}
    found = {kind: test & group.isin(set(group[train].dropna())).to_numpy() for kind, group in kinds.items()}
    found["either"] = found["same item"] | found["near-duplicate image"]
    rows = [{"kind": kind, "test_images": int(leaks.sum())} for kind, leaks in found.items()]
    return pd.DataFrame(rows).assign(share_of_test=lambda t: t["test_images"] / test.sum())


def agreement(vectors: np.ndarray, table: pd.DataFrame, rows: np.ndarray, k: int = 5) -> pd.Series:
    """For each column of a table (N rows): of the ``k`` images most similar to each of some ``rows``, by the cosine of
    vectors (N, D), the share that has its class. An image is no answer to itself, and one without a class asks none."""
    numbers = np.arange(len(table)).astype(str).astype(object)
    with open_index(None, dimension=vectors.shape[1], model_id="", attributes=list(table)) as index:
        index.insert(numbers, vectors, table)
        found = index.search(vectors[rows], k + 1)
    found = found[found["id"] != numbers[rows[found["query"]]]].groupby("query").head(k)
    own = table.iloc[rows[found["query"]]]
    return pd.Series({n: (found[n].to_numpy() == own[n].to_numpy())[own[n].notna()].mean() for n in table})


def class_answers(tags: pd.DataFrame, true: pd.Series, types: pd.Series) -> pd.DataFrame:
    """What article types (rows of ``Tagger.tag(top=...)``, and the class of each type that has one) say of coarser
    classes, by image: the class ``said``, as probable as its types together, how ``sure`` it is among them all, and
    whether ``any_type``, the most probable type, is of the ``true`` class, and ``types_of_a_class``, said, is it."""
    each = tags.explode(["top", "top_confidence"]).astype({"top_confidence": float})
    each = each.assign(kind=each["top"].map(types))
    p = each.pivot_table("top_confidence", "image", "kind", aggfunc="sum").loc[tags.index]
    found = pd.DataFrame({"true": true, "said": p.idxmax(axis=1), "sure": p.max(axis=1) / p.sum(axis=1)})
    return found.assign(any_type=tags["label"].map(types) == true, types_of_a_class=found["said"] == true)


def class_accuracies(answers: Mapping[str, pd.DataFrame], repeats: int = 1000) -> pd.DataFrame:
    """A row for each of several ``class_answers`` and both ways to answer: images, answer, n, accuracy and its 95%
    bootstrap interval (ci_low, ci_high)."""
    rows = []
    for (images, found), answer in product(answers.items(), ("any_type", "types_of_a_class")):
        right = found[answer].to_numpy()
        interval = percentile_interval(resampled_means(right, repeats=repeats))
        rows.append([images, answer, len(right), right.mean(), *interval])
    return pd.DataFrame(rows, columns=["images", "answer", "n", "accuracy", "ci_low", "ci_high"])
