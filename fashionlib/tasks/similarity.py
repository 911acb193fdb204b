"""Images of one item lie close together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..labels import found_classes
from ..ranking import leave_one_out
from .base import Task

LOSSES = ("selective-triplet", "triplet", "multi-similarity", "proxy-anchor")
MINING = ("batch-hard", "semi-hard")


@dataclass(frozen=True)
class Similarity(Task):
    """Images of one item lie close together in a unit-length embedding; miners and losses are those of
    pytorch-metric-learning, on cosine similarity, the selective triplet loss excepted.

    Parameters
    ----------
    dimension: of the embedding.
    margin: between the similarity of a positive and a negative pair, for the triplet losses.
    loss_function: ``"selective-triplet"`` (Xuan et al., 2020; see ``selective_triplet_loss``), ``"triplet"`` (Schroff
        et al., 2015), which collapses easily where the hardest negatives are mined, ``"multi-similarity"`` (Wang et
        al., 2019) or ``"proxy-anchor"`` (Kim et al., 2020), which learns a proxy for every training item.
    mining: which triplets of a batch count: ``"batch-hard"`` (the hardest positive and negative of each image;
        Hermans et al., 2017) or ``"semi-hard"`` (negatives inside the margin, but farther than the positive).
    items: of the training table, learned for proxies only.
    """

    dimension: int = 128
    margin: float = 0.2
    evaluated: bool = True
    loss_function: str = "selective-triplet"
    mining: str = "batch-hard"
    items: tuple[str, ...] = ()

    def __post_init__(self):
        if self.loss_function not in LOSSES:
            raise ValueError(f"task {self.name!r}: loss_function {self.loss_function!r} is not among {LOSSES}")
        if self.mining not in MINING:
            raise ValueError(f"task {self.name!r}: mining {self.mining!r} is not among {MINING}")

    def learn(self, train):
        if self.loss_function != "proxy-anchor":
            return replace(self, items=())
        return replace(self, items=found_classes(train[self.name]))

    def encode(self, table):
        """An item number for each row (N,), int64; ``MISSING`` where the item is not known. Items that have a proxy
        come first."""
        first = pd.Series(self.items, dtype=object)
        codes = pd.factorize(pd.concat([first, table[self.name].astype(object)], ignore_index=True))[0]
        return codes[len(first) :].astype(np.int64)

    def head(self, features):
        """The embedding before normalisation."""
        linear = nn.Linear(features, self.dimension)
        return ProxyHead(linear, len(self.items)) if self.loss_function == "proxy-anchor" else linear

    def loss(self, output, target, smoothing=0.0, head=None):
        """output (B, D) before normalisation, target (B,); zero where a batch has no pair of the same item."""
        known = target >= 0
        output, target = output[known].float(), target[known]
        if head is not None and isinstance(head, ProxyHead):
            return head.loss(output, target) if len(target) else output.sum() * 0.0
        if len(target) < 3 or len(target.unique()) == len(target):
            return output.sum() * 0.0
        return self._pair_loss(output, target)

    def _pair_loss(self, output: Tensor, target: Tensor) -> Tensor:
        distances, losses, miners = map(metric_learning, ("distances", "losses", "miners"))
        if self.loss_function == "multi-similarity":
            return losses.MultiSimilarityLoss()(output, target, miners.MultiSimilarityMiner()(output, target))
        cosine = distances.CosineSimilarity()
        if self.mining == "semi-hard":
            miner = miners.TripletMarginMiner(self.margin, "semihard", distance=cosine)
        else:
            miner = miners.BatchHardMiner(distance=cosine)
        if self.loss_function == "selective-triplet":
            return selective_triplet_loss(output, miner(output, target), self.margin)
        return losses.TripletMarginLoss(self.margin, distance=cosine)(output, target, miner(output, target))

    def activate(self, output):
        """Embeddings (B, D), unit length."""
        return F.normalize(output.float(), dim=1)

    def average(self, activations):
        """The mean direction, unit length again."""
        return F.normalize(sum(activations), dim=1)

    def predict(self, activations):
        """An embedding is no label: nothing."""
        return {}

    def metrics(self, activations, target):
        """Recall at 1 of each image of a known item against all others; NaN if no item has two."""
        embeddings, items = activations[target >= 0], target[target >= 0]
        if len(np.unique(items)) == len(items):
            return {self.name: {"recall_at_1": float("nan")}}
        return {self.name: {"recall_at_1": leave_one_out(embeddings, items, ks=(1,)).scores()["recall_at_1"]}}


def metric_learning(part: str) -> ModuleType:
    """A module of pytorch-metric-learning, which training for similarity needs (using a trained embedding does not).
    Raises ``ModuleNotFoundError`` that says what to install."""
    try:
        return import_module(f"pytorch_metric_learning.{part}")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"training for similarity needs pytorch-metric-learning ({error}): pip install 'fashionlib[retrieval]'"
        ) from error


def selective_triplet_loss(output: Tensor, triplets: tuple[Tensor, Tensor, Tensor], margin: float) -> Tensor:
    """The triplet loss that does not collapse under hard negatives: "Hard negative examples are hard, but useful"
    (Xuan, Stylianou, Liu, Pless, 2020), with a margin where they have a softmax.

    output (B, D) of any length; triplets: numbers of anchors, positives and negatives, (T,) each. Where the negative is
    more similar than the positive, on the unit sphere pulling the positive drags the near negative along, until all
    images lie in one place; there only the negative is pushed away, by its similarity to the anchor. The other triplets
    count as usual, max(0, s_an - s_ap + margin). The mean over all of them; zero where there are none.
    """
    if len(triplets[0]) == 0:
        return output.sum() * 0.0
    unit = F.normalize(output, dim=1)
    anchor, positive, negative = (unit[numbers] for numbers in triplets)
    to_positive, to_negative = (anchor * positive).sum(1), (anchor * negative).sum(1)
    usual = F.relu(to_negative - to_positive + margin)
    return torch.where(to_negative > to_positive, to_negative, usual).mean()


class ProxyHead(nn.Module):
    """A linear embedding, and the proxies that its loss pulls it to."""

    def __init__(self, linear: nn.Linear, items: int):
        super().__init__()
        self.linear = linear
        self.loss = metric_learning("losses").ProxyAnchorLoss(items, linear.out_features)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features)
