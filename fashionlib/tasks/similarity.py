"""Images of one item lie close together."""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from ..metrics.ranking import rank
from .base import CHECKED, Names, Task
from .labels import found_classes


@dataclass(frozen=True, config=CHECKED)
class Similarity(Task):
    """Images of one item lie close together in a unit-length embedding; losses and miners are those of
    pytorch-metric-learning.

    Parameters
    ----------
    dimension: of the embedding.
    margin: between the Euclidean distances of a positive and a negative pair (0 to 2), for the triplet loss.
    loss_function: ``"triplet"`` (Schroff et al., 2015; on plain distances, with which it collapses less: Hermans et
        al., 2017), ``"multi-similarity"`` (Wang et al., 2019) or ``"proxy-anchor"`` (Kim et al., 2020).
    mining: which triplets of a batch count: ``"batch-hard"`` (the hardest positive and negative of each image) or
        ``"semi-hard"`` (negatives inside the margin, but farther than the positive).
    items: of the training table, learned for proxies only."""

    dimension: Annotated[int, Field(ge=1)] = 128
    margin: Annotated[float, Field(gt=0)] = 0.2
    evaluated: bool = True
    loss_function: Literal["triplet", "multi-similarity", "proxy-anchor"] = "triplet"
    mining: Literal["batch-hard", "semi-hard"] = "batch-hard"
    items: Names = ()

    def learn(self, train):
        return replace(self, items=found_classes(train[self.name]) if self.loss_function == "proxy-anchor" else ())

    def encode(self, table):
        """An item number for each row (N,), int64, those with a proxy first; ``MISSING`` where it is not known."""
        codes = pd.factorize(pd.Series([*self.items, *table[self.name]], dtype=object))[0]
        return codes[len(self.items) :].astype(np.int64)

    def head(self, features):
        """The embedding before it has unit length: a linear layer on standardised features, for pooled ones are all
        positive, so that any two images would begin with nearly the same direction."""
        embedding = nn.Sequential(nn.BatchNorm1d(features), nn.Linear(features, self.dimension))
        if self.loss_function == "proxy-anchor":
            return ProxyHead(embedding, len(self.items), self.dimension)
        return embedding

    def loss(self, output, target, smoothing=0.0, head=None):
        """output (B, D) before normalisation, target (B,); zero where a batch has no pair of the same item. Of triplets
        it is the mean over those that violate the margin."""
        known = target >= 0
        output, target = output[known].float(), target[known]
        if isinstance(head, ProxyHead):
            return head.loss(output, target) if len(target) else output.sum() * 0.0
        if len(target) < 3 or len(target.unique()) == len(target):
            return output.sum() * 0.0
        from pytorch_metric_learning import distances, losses, miners

        if self.loss_function == "multi-similarity":
            return losses.MultiSimilarityLoss()(output, target, miners.MultiSimilarityMiner()(output, target))
        euclidean = distances.LpDistance(normalize_embeddings=True, p=2)
        semi_hard = miners.TripletMarginMiner(self.margin, "semihard", distance=euclidean)
        miner = semi_hard if self.mining == "semi-hard" else miners.BatchHardMiner(distance=euclidean)
        return losses.TripletMarginLoss(self.margin, distance=euclidean)(output, target, miner(output, target))

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
        items, embeddings = target[target >= 0], activations[target >= 0]
        if len(np.unique(items)) == len(items):
            return {self.name: {"recall_at_1": float("nan")}}
        scores = rank(embeddings, embeddings, items, items, ks=(1,), alone=True).scores()
        return {self.name: {"recall_at_1": scores["recall_at_1"]}}


class ProxyHead(nn.Module):
    """An embedding, and the proxies that its loss pulls it to."""

    def __init__(self, embedding: nn.Module, items: int, dimension: int):
        super().__init__()
        from pytorch_metric_learning.losses import ProxyAnchorLoss

        self.embedding = embedding
        self.loss = ProxyAnchorLoss(items, dimension)

    def forward(self, features: Tensor) -> Tensor:
        return self.embedding(features)
