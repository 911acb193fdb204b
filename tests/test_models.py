"""MultitaskModel: what goes in and comes out, where weights come from, and what is refused."""

import contextlib
import json
import os
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from fashionlib.models import MultitaskModel, model_from_description
from fashionlib.tasks import Hierarchy, SingleLabel
from fashionlib.training.checkpoints import load_model, save_model
from fashionlib.training.optimisation import LossWeights, freeze
from fashionlib.training.settings import Stage
from tiny import SIZE, same_weights, tiny_data, tiny_model

COLOUR = SingleLabel("colour", classes=("blue", "red"))


@pytest.fixture
def images():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 32, 24, 3)).astype(np.uint8))


def test_images_are_normalised_inside(images):
    model = tiny_model(tiny_data(), "gender").eval()
    by_hand = (images.numpy() / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    expected = model.body(torch.from_numpy(by_hand).float().permute(0, 3, 1, 2).contiguous())
    torch.testing.assert_close(model.features(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wrong", [lambda x: x.float(), lambda x: x.permute(0, 3, 1, 2), lambda x: x[0]])
def test_anything_but_uint8_images_is_refused(images, wrong):
    with pytest.raises(ValueError, match=r"images must be uint8 \(B, H, W, 3\), not torch\."):
        tiny_model(tiny_data(), "gender")(wrong(images))


def test_weights_of_our_own_model_file_with_other_tasks(tmp_path):
    data = tiny_data()
    trained = tiny_model(data, "gender", seed=3)
    path = save_model(trained, tmp_path / "model.pth")
    model = tiny_model(data, "taxonomy", seed=4, weights=str(path))
    assert same_weights(model.body, trained.body)
    assert list(model.heads) == ["taxonomy"]


class Intruder:
    """A pickle of this runs a command when it is loaded carelessly."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("save", [torch.save, lambda thing, path: path.write_bytes(pickle.dumps(thing))])
def test_code_in_a_weight_file_is_not_run(tmp_path, save):
    path, mark = tmp_path / "evil.pth", tmp_path / "executed"
    save({"weights": Intruder(mark)}, path)
    with pytest.raises(ValueError, match=r"evil\.pth is not a checkpoint that can be loaded safely"):
        MultitaskModel("resnet_tiny", [COLOUR], weights=path)
    assert not mark.exists()
    with contextlib.suppress(RuntimeError):
        torch.load(path, weights_only=False)
    assert mark.exists(), "the file was harmless: this test proved nothing"


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ValueError, match="'resnet81' is not a network of timm; near it are .*resnet18"):
        MultitaskModel("resnet81", [COLOUR])
    with pytest.raises(ValueError, match="tasks of different names"):
        MultitaskModel("resnet_tiny", [])
    with pytest.raises(ValueError, match="'colour' has no classes; take tasks from catalogue.select()"):
        MultitaskModel("resnet_tiny", [SingleLabel("colour")], size=SIZE)


def test_a_description_survives_json(images):
    model = tiny_model(tiny_data(), input_size=(30, 40), trunk=(8,)).eval()
    again = model_from_description(json.loads(json.dumps(model.description())))
    assert again.description() == model.description() and again.tasks == model.tasks
    again.load_state_dict(model.state_dict())
    for name, output in again.eval()(images).items():
        assert torch.equal(output, model(images)[name])


def test_label_heads_share_a_trunk_and_an_embedding_does_not(images):
    data = tiny_data()
    model = tiny_model(data, "gender", "words", "item", trunk=(40, 20)).eval()
    kinds = [type(layer).__name__ for layer in model.trunk]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Dropout"] * 2
    assert [layer.p for layer in model.trunk if isinstance(layer, torch.nn.Dropout)] == [0.3, 0.3]
    features = model.features(images)
    x = features
    for k in (0, 4):  # linear without bias, batch norm at its start (mean 0, variance 1), ReLU
        x = (x @ model.trunk[k].weight.T / np.sqrt(1 + model.trunk[k + 1].eps)).clamp(min=0)
    outputs = model(images)
    torch.testing.assert_close(outputs["gender"], model.heads["gender"](x), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(outputs["item"], model.heads["item"](features))
    assert model.heads["words"].in_features == 20 and model.heads["item"][-1].in_features == 64
    again = model_from_description(json.loads(json.dumps(model.description())))
    assert [layer.out_features for layer in again.trunk if isinstance(layer, torch.nn.Linear)] == [40, 20]


@pytest.mark.parametrize("name", ["type", "half", "train", "training", "keys", "items", "pop", "update", "_modules"])
def test_a_task_may_be_called_like_an_attribute_of_a_module(tmp_path, images, name):
    """A column of a user's table may well be called type."""
    model = MultitaskModel("resnet_tiny", [SingleLabel(name, classes=("a", "b", "c")), COLOUR], size=SIZE).eval()
    outputs = model(images)
    assert {task: o.shape[1] for task, o in outputs.items()} == {name: 3, "colour": 2}
    assert torch.equal(outputs[name], model.head(name)(model.features(images)))
    loaded = load_model(save_model(model, tmp_path / "model.pth"))
    assert torch.equal(loaded(images)[name], outputs[name])
    freeze(model, Stage("alone", train=name))
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert len(learning) == 2 and {id(p) for p in learning} == {id(p) for p in model.head(name).parameters()}
    assert LossWeights("uncertainty", (name, "colour")).weights() == {name: 1.0, "colour": 1.0}


def test_other_tasks_are_called_in_a_state_dict_as_ever():
    names = ("gender", "copy", "words")  # a ParameterDict has an attribute copy, a ModuleDict has none
    model = MultitaskModel("resnet_tiny", [SingleLabel(name, classes=("a", "b")) for name in names], size=SIZE)
    heads = [key for key in model.state_dict() if key.startswith("heads.")]
    assert heads == [f"heads.{name}.{part}" for name in names for part in ("weight", "bias")]
    assert list(LossWeights("uncertainty", ("gender", "words")).state_dict()) == [
        "log_variance.gender",
        "log_variance.words",
    ]


def test_stochastic_depth_reaches_the_body():
    layers = tiny_model(tiny_data(), "gender", drop_path=0.2).body.modules()
    assert max(getattr(layer, "drop_prob", 0) for layer in layers) == pytest.approx(0.2)


def test_two_tasks_that_predict_one_label_are_refused():
    taxonomy = Hierarchy("taxonomy", levels=("master", "article"), paths=(("Shoe", "Clog"), ("Shoe", "Boot")))
    article = SingleLabel("article", classes=("Boot", "Clog"))
    with pytest.raises(ValueError, match="'taxonomy' and 'article' predict the same label, 'article'; leave"):
        MultitaskModel("resnet_tiny", [COLOUR, taxonomy, article])
    auxiliary = SingleLabel("article", classes=("Boot", "Clog"), evaluated=False)
    assert set(MultitaskModel("resnet_tiny", [taxonomy, auxiliary]).tasks) == {"taxonomy", "article"}


def test_images_are_resized_inside_as_pillow_does(images):
    """Bilinear, and antialiased when smaller: the values that Pillow's filter of the same name gives."""
    for size in ((48, 64), (12, 16), (12, 40)):
        model = tiny_model(tiny_data(), "gender", input_size=size)
        seen = []
        model.body = torch.nn.Sequential(torch.nn.Identity())
        model.body.register_forward_pre_hook(lambda module, inputs, seen=seen: seen.append(inputs[0]))
        model.features(images)
        pixels = (seen[0] * model.std + model.mean).permute(0, 2, 3, 1)
        for found, image in zip(pixels, images.numpy(), strict=True):
            expected = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR), float)
            assert np.abs(found.numpy() - expected).max() < 1.5  # Pillow rounds between its two passes


def test_the_arithmetic_is_measured_once_and_changes_no_weight(images, monkeypatch):
    model = tiny_model(tiny_data(), "gender")
    before, tried = {k: t.clone() for k, t in model.state_dict().items()}, []
    monkeypatch.setattr("fashionlib.models.MEASURED", {})
    monkeypatch.setattr("fashionlib.models.fastest", lambda step, among: (tried.append(among) or among[-1], {}))
    model.settle()
    model.settle()
    tiny_model(tiny_data(), "gender").settle()
    assert len(tried) == 1 and model.arithmetic == tried[0][-1]
    assert all(torch.equal(t, before[k]) for k, t in model.state_dict().items())


@pytest.mark.parametrize(
    "change", [{"weights": "/etc/passwd"}, {"backbone": "hf_hub:somebody/network"}, {"size": "big"}]
)
def test_a_description_names_only_what_makes_a_model(change):
    description = json.loads(json.dumps(tiny_model(tiny_data(), "gender").description())) | change
    with pytest.raises(ValueError, match="described by|not a network of timm|whole pixels"):
        model_from_description(description)
