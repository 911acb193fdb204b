"""A small study for tests: random images with all four kinds of labels, and a ResNet of four narrow blocks."""

import numpy as np
import pandas as pd
import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, ResNet
from torch import nn

from fashionlib.data.catalogue import Catalogue
from fashionlib.data.images import ImageData
from fashionlib.models import MultitaskModel
from fashionlib.tasks import Hierarchy, MultiLabel, Similarity, SingleLabel
from fashionlib.training.settings import Settings

SIZE = (24, 32)  # width, height
PATHS = (
    ("Apparel", "Top", "Shirt"),
    ("Apparel", "Top", "Tunic"),
    ("Apparel", "Legs", "Jeans"),
    ("Shoe", "Shoe", "Clog"),
)
TASKS = (
    SingleLabel("gender"),
    Hierarchy("taxonomy", levels=("master", "sub", "article")),
    MultiLabel("words"),
    Similarity("item", dimension=16),
)
SETTINGS = Settings(
    epochs=2, batch_size=8, optimizer="adamw", learning_rate=0.003, precision="fp32", layout="contiguous"
)


default_cfgs = generate_default_cfgs({"resnet_tiny": {"first_conv": "conv1", "classifier": "fc"}})  # timm looks here


@register_model
def resnet_tiny(pretrained: bool = False, **options) -> ResNet:
    """64 features, 0.14 million weights; there are no pretrained ones."""
    shape = {"block": BasicBlock, "layers": (1, 1, 1, 1), "channels": (16, 32, 48, 64), "zero_init_last": False}
    return build_model_with_cfg(ResNet, "resnet_tiny", pretrained, **shape, **options)


class NoFiles:
    """Stands where image files would be; the pixels are given."""

    fingerprint = "random arrays"

    def read(self, location):
        raise AssertionError(f"{location} is not read: the pixels are in memory")


def tiny_table(train: int = 32, val: int = 8, test: int = 8) -> pd.DataFrame:
    """Labels in turn, so that each class occurs in each split; a few are missing, one in test was never trained."""
    n = train + val + test
    split = ["train"] * train + ["val"] * val + ["test"] * test
    table = pd.DataFrame([PATHS[i % 4] for i in range(n)], columns=["master", "sub", "article"], dtype=object)
    table["gender"] = [("Men", "Women", "Unisex")[i % 3] for i in range(n)]
    table["words"] = [("", "red", "red;striped", "striped;wool")[(i // 2) % 4] for i in range(n)]
    table["item"] = [f"p{i // 2}" for i in range(n)]
    table.loc[5, "gender"] = None
    table.loc[6, ["sub", "article"]] = None
    table.loc[7, "words"] = None
    if test:
        table.loc[n - 1, "gender"] = "Robots"
    table.insert(0, "image", [f"{i:03d}.png" for i in range(n)])
    return table.assign(split=split)


def tiny_data(table: pd.DataFrame | None = None, tasks=TASKS, size=SIZE, seed: int = 0) -> ImageData:
    """Random images, tinted by their article and gender so that there is something to learn."""
    table = tiny_table() if table is None else table
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 160, (len(table), size[1], size[0], 3))
    pixels[..., 0] += (np.arange(len(table)) % 4 * 30)[:, None, None]
    pixels[..., 1] += (np.arange(len(table)) % 3 * 40)[:, None, None]
    return ImageData(Catalogue(table, tasks, NoFiles(), "tiny"), pixels.astype(np.uint8), np.arange(len(table)))


def tiny_model(data: ImageData, *tasks: str, seed: int = 0, **options) -> MultitaskModel:
    """The same random weights every time."""
    torch.manual_seed(seed)
    names = tasks or tuple(data.catalogue.tasks)
    options = {"backbone": "resnet_tiny", "size": data.size} | options
    return MultitaskModel(tasks=data.catalogue.select(*names), **options)


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    one, two = first.state_dict(), second.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
