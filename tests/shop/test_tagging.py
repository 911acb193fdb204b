"""The Tagger against evaluation and retrieval on the same images; what it makes of photos as people have them."""

import errno
import io
import json
import os
import subprocess
import sys
import tarfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from fashionlib.data.decoding import MAY_PASS, BadImage, decode, fit_to
from fashionlib.evaluation.predict import predict
from fashionlib.evaluation.retrieval import embed
from fashionlib.models import MultitaskModel, weights_sha256
from fashionlib.shop import photos as photos_module
from fashionlib.shop.photos import decoded, named_photos, read_photo
from fashionlib.shop.tagging import EMBEDDINGS, TAGS, Rules, Tagger, tag_table
from fashionlib.tasks import MultiLabel, SingleLabel
from fashionlib.training.checkpoints import load_model, save_model
from tiny import SIZE, tiny_model

TEMPERATURES = {"gender": 1.7, "taxonomy": 0.6, "words": 2.5}
LABELS = ["gender", "master", "sub", "article", "words"]
RED = np.full((32, 24, 3), (200, 30, 30), np.uint8)


@pytest.fixture(scope="module")
def data(trained):
    return trained[1]


@pytest.fixture(scope="module")
def path(trained, tmp_path_factory):
    """A calibrated model.pth; the model that the tests share stays as it is."""
    trained[0].temperatures = dict(TEMPERATURES)
    try:
        return save_model(trained[0], tmp_path_factory.mktemp("models") / "model.pth")
    finally:
        trained[0].temperatures = {}


@pytest.fixture(scope="module")
def tagger(path):
    return Tagger.load(path, "cpu")


@pytest.fixture(scope="module")
def tags(tagger, data):
    return tagger.tag(list(data.pixels[:20]))


def tagger_of(*tasks):
    return Tagger(MultitaskModel("resnet_tiny", tasks, size=SIZE), "0" * 16, "cpu")


@pytest.fixture
def folder(tmp_path):
    """Writes files below a folder: ``folder({"a.jpg": bytes})``."""

    def make(files):
        for name, content in files.items():
            (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "photos" / name).write_bytes(content)
        return tmp_path / "photos"

    return make


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


# --- what is said of a photo ----------------------------------------------------------------------


def test_the_labels_are_those_of_predict(tags, path, data):
    predictions = predict(load_model(path), data, np.arange(20))
    assert tags["task"].tolist() == LABELS * 20 and tags["image"].tolist() == [str(i // 5) for i in range(100)]
    for label, (predicted, _) in predictions.labels().items():
        expected = np.array(predictions.classes(label), dtype=object)[predicted.index]
        assert tags.loc[tags["task"] == label, "label"].tolist() == expected.tolist(), label
    assert tags["error"].isna().all()


def test_the_confidences_are_those_of_the_logits_divided_by_the_temperature(tags, path, data):
    model = load_model(path)
    with torch.inference_mode():
        logits = {name: out.double().numpy() for name, out in model(data.fetch(np.arange(20))).items()}
    gender, paths = softmax(logits["gender"] / 1.7), softmax(logits["taxonomy"] / 0.6)
    words = 1 / (1 + np.exp(-logits["words"] / 2.5))
    rows = tags.set_index(["image", "task"])
    for i in range(20):
        row = rows.loc[(str(i), "gender")]
        assert row["confidence"] == pytest.approx(gender[i].max(), abs=1e-5)
        best = np.argsort(-gender[i])
        assert row["top"] == [model.tasks["gender"].classes[k] for k in best]
        assert row["top_confidence"] == pytest.approx(gender[i][best], abs=1e-5)
        for level, name in enumerate(("master", "sub", "article")):
            row, chosen = rows.loc[(str(i), name)], model.tasks["taxonomy"].paths[paths[i].argmax()][level]
            shares = {}
            for path_classes, p in zip(model.tasks["taxonomy"].paths, paths[i], strict=True):
                shares[path_classes[level]] = shares.get(path_classes[level], 0) + p
            assert row["label"] == chosen and row["confidence"] == pytest.approx(shares[chosen], abs=1e-5)
            assert row["top"][0] == max(shares, key=shares.get)
            assert row["top_confidence"] == pytest.approx(sorted(shares.values(), reverse=True)[:3], abs=1e-5)
        row = rows.loc[(str(i), "words")]
        assert row["top_confidence"] == pytest.approx(np.sort(words[i])[::-1][:3], abs=1e-5)


@pytest.mark.parametrize(
    ("probabilities", "threshold", "label", "confidence"),
    [
        ((0.6, 0.9, 0.2), 0.5, "striped;red", 0.6),
        ((0.6, 0.9, 0.2), 0.7, "striped", 0.9),
        ((0.6, 0.9, 0.2), 0.1, "striped;red;wool", 0.2),
        ((0.1, 0.3, 0.2), 0.5, "", 0.7),
    ],
)
def test_of_many_labels_those_from_the_threshold_on_apply(probabilities, threshold, label, confidence):
    tagger = tagger_of(MultiLabel("words", classes=("red", "striped", "wool")))
    p, head = torch.tensor(probabilities), tagger.model.head("words")
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(p.log() - (1 - p).log())
    row = tagger.tag(RED, top=2, threshold=threshold).loc[0]
    assert (row["label"], row["confidence"]) == (label, pytest.approx(confidence, abs=1e-6))
    ranked = sorted(zip(probabilities, ("red", "striped", "wool"), strict=True), reverse=True)[:2]
    assert row["top"] == [name for _, name in ranked]
    assert row["top_confidence"] == pytest.approx([p for p, _ in ranked], abs=1e-6)


def test_the_embeddings_are_those_of_retrieval(tagger, path, data):
    found = tagger.embed(list(data.pixels[:20]), batch_size=6)
    assert list(found.columns) == ["image", "embedding", "error"] and tagger.represents == "embedding"
    vectors = np.stack(found["embedding"])
    assert vectors.dtype == np.float32 and vectors.shape == (20, tagger.dimension) == (20, 16)
    expected = embed(load_model(path), data, np.arange(20), mirror=False)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def normed(backbone):
    """A network whose batch norms have statistics other than 0 and 1, images, and their features."""
    torch.manual_seed(0)
    model = MultitaskModel(backbone, [SingleLabel("gender", classes=("a", "b"))], size=SIZE).train()
    images = torch.randint(0, 256, (16, SIZE[1], SIZE[0], 3), dtype=torch.uint8)
    with torch.no_grad():
        model(images)
        return model, images, model.eval().features(images)


def norms(model):
    return sum(isinstance(module, torch.nn.BatchNorm2d) for module in model.body.modules())


@pytest.mark.parametrize("backbone", ["resnet18", "tf_efficientnet_lite0", "resnetv2_18d", "mixnet_s"])
def test_batch_norms_folded_give_the_same_features_and_the_model_given_stays(backbone, tmp_path):
    model, images, expected = normed(backbone)
    before, tagger = weights_sha256(model), Tagger(model, "")
    with torch.inference_mode():
        torch.testing.assert_close(tagger.network.features(images), expected, rtol=1e-4, atol=1e-4)
    assert norms(tagger.network) < norms(model) and weights_sha256(model) == before
    saved = Tagger.load(save_model(tagger.model, tmp_path / "again.pth"), "cpu")
    with torch.inference_mode():
        torch.testing.assert_close(saved.model.features(images), expected, rtol=1e-4, atol=1e-4)


def test_a_network_that_cannot_be_folded_is_used_as_it_is(monkeypatch):
    model, images, expected = normed("resnet18")
    monkeypatch.setattr("fashionlib.shop.tagging.fuse_conv_bn_eval", lambda conv, norm: conv)
    assert Tagger(model, "").network is model
    with torch.inference_mode():
        assert model.features(images).equal(expected)


def test_without_a_similarity_task_the_pooled_features_stand_for_the_photo(data):
    model = tiny_model(data, "gender", trunk=(8,)).eval()
    tagger = Tagger(model, "0" * 16, "cpu")
    assert (tagger.represents, tagger.dimension) == ("features", model.feature_dimension)
    expected = embed(model, data, np.arange(3), what="features", mirror=False)
    np.testing.assert_allclose(np.stack(tagger.embed(data.pixels[:3])["embedding"]), expected, atol=1e-5)


def test_auxiliary_tasks_are_not_reported():
    tagger = tagger_of(
        SingleLabel("gender", classes=("a", "b")), SingleLabel("year", classes=("c", "d"), evaluated=False)
    )
    assert tagger.tag(RED)["task"].tolist() == ["gender"]


def test_tags_and_embeddings_come_from_one_pass_in_batches_that_do_not_matter(tagger, data, tags):
    seen = []
    hook = tagger.network.body.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    parts = list(tagger.stream(list(data.pixels[:20]), Rules(), embeddings=True, batch_size=7))
    hook.remove()
    assert seen == [7, 7, 6] and not tagger.model.training
    together = pd.concat([part for part, _ in parts], ignore_index=True)
    pd.testing.assert_frame_equal(together, tags, check_exact=False, atol=1e-5)
    vectors = np.concatenate([np.stack(part["embedding"]) for _, part in parts])
    np.testing.assert_allclose(vectors, np.stack(tagger.embed(data.pixels[:20])["embedding"]), atol=1e-5)
    assert all(part is None for _, part in tagger.stream(data.pixels[:2], Rules()))


def test_every_part_has_the_same_types(tagger, tmp_path):
    parts = list(tagger.stream([b"", b"", RED, b"", RED, RED], Rules(), embeddings=True, batch_size=2))
    empty = (tagger.tag([]), tagger.embed([]))
    for number, schema in enumerate((TAGS, EMBEDDINGS)):
        frames = [part[number] for part in parts] + [empty[number]]
        assert all(frame.dtypes.equals(frames[0].dtypes) for frame in frames)
        for k, frame in enumerate(frames):
            table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
            assert table.schema.remove_metadata() == schema
            pq.write_table(table, tmp_path / f"{number}-{k}.parquet")
        read = pd.read_parquet([tmp_path / f"{number}-{k}.parquet" for k in range(3)])
        assert read["image"].unique().tolist() == ["0", "1", "2", "3", "4", "5"]
    assert [len(part) for part, _ in parts] == [2, 6, 10] and len(empty[0]) == 0
    assert parts[0][0][["task", "label", "confidence", "top", "top_confidence"]].isna().all(axis=None)


# --- the wide table -------------------------------------------------------------------------------


def test_the_wide_table_has_a_row_for_each_photo_that_could_be_read(tagger, tags):
    wide = tag_table(tags)
    assert list(wide.columns) == ["image", *(c for label in LABELS for c in (label, f"{label}_confidence"))]
    assert wide["image"].tolist() == [str(i) for i in range(20)]
    for label in LABELS:
        rows = tags[tags["task"] == label]
        assert wide[label].tolist() == rows["label"].tolist()
        assert wide[f"{label}_confidence"].tolist() == rows["confidence"].tolist()
    twice = tag_table(tagger.tag([("a", RED), ("b", b""), ("a", RED)]))
    assert twice["image"].tolist() == ["a", "a"] and twice.loc[0].equals(twice.loc[1])
    assert tag_table(tagger.tag([b""])).shape == (0, 1)


@pytest.mark.parametrize("name", ["time", "error", "task", "label", "index", "level_0", "style_confidence"])
def test_labels_may_be_called_as_the_library_calls_things(name):
    wide = tag_table(tagger_of(SingleLabel(name, classes=("a", "b")), SingleLabel("z", classes=("c", "d"))).tag(RED))
    assert list(wide.columns) == ["image", name, f"{name}_confidence", "z", "z_confidence"]
    assert wide.loc[0, name] in ("a", "b") and wide.loc[0, "z"] in ("c", "d")


@pytest.mark.parametrize("names", [("image",), ("style", "style_confidence")])
def test_labels_whose_columns_would_be_one_are_refused(names):
    tags = tagger_of(*(SingleLabel(name, classes=("a", "b")) for name in names)).tag(RED)
    with pytest.raises(ValueError, match=f"two columns of the table would be called {names[-1]}"):
        tag_table(tags)


# --- photos ---------------------------------------------------------------------------------------


def test_a_generator_is_read_as_far_ahead_as_a_batch(tagger, data):
    taken = []

    def photos():
        for i in range(40):
            taken.append(i)
            yield f"item {i}", data.pixels[i]

    stream = tagger.stream(photos(), Rules(), batch_size=4)
    assert taken == []
    for k in range(1, 4):
        frame, _ = next(stream)
        assert frame["image"].unique().tolist() == [f"item {i}" for i in range(4 * k - 4, 4 * k)]
        assert len(taken) <= 4 * k + 4
    stream.close()
    assert len(taken) <= 16


def test_an_error_in_a_generator_is_not_swallowed(tagger):
    def photos():
        yield "a", RED
        raise RuntimeError("the camera is gone")

    with pytest.raises(RuntimeError, match="the camera is gone"):
        tagger.tag(photos())


def test_every_kind_of_photo_is_the_same_photo(tagger, encode, folder):
    content = encode(np.random.default_rng(0).integers(0, 256, (50, 30, 3)), "PNG")
    file = folder({"a.png": content}) / "a.png"
    image = Image.open(file)
    expected = tagger.tag(fit_to(decode(content, "a"), SIZE))
    found = tagger.tag(
        [file, str(file), content, image, np.asarray(image), io.BytesIO(content), ("mine", open(file, "rb"))]
    )
    assert found["image"].unique().tolist() == [str(file), "2", "3", "4", "5", "mine"]
    assert found["label"].tolist() == expected["label"].tolist() * 7
    np.testing.assert_allclose(found["confidence"], np.tile(expected["confidence"], 7), atol=1e-5)
    for one in (file, str(file), content, image, np.asarray(image), io.BytesIO(content), open(file, "rb")):
        assert tagger.tag(one)["label"].tolist() == expected["label"].tolist()
    assert tagger.tag(pd.Series([str(file)]))["image"].unique().tolist() == [str(file)]


def test_members_of_a_tar_and_an_image_given_twice_are_read_one_after_another(tagger, encode, tmp_path):
    """They share a place in a file, which threads would move under each other."""
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        for k in range(120):
            content = encode(np.full((40, 30, 3), k), "PNG")
            (member := tarfile.TarInfo(f"{k}.png")).size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with tarfile.open(tmp_path / "photos.tar") as tar:
        photos, _ = named_photos((member.name, tar.extractfile(member)) for member in tar)
        found = [pixels.mean() for _, pixels in decoded(photos, SIZE, 64, ahead=True)]
    assert found == pytest.approx(range(120), abs=0.1)
    image = Image.open(io.BytesIO(encode(np.random.default_rng(0).integers(0, 256, (900, 700, 3)), "PNG")))
    assert tagger.tag([("front", image), ("copy", image)])["error"].isna().all()


def test_an_open_file_that_gives_no_photo_is_a_row_with_the_reason(tagger, encode, folder):
    file = folder({"a.jpg": encode(RED, "JPEG")}) / "a.jpg"
    with open(file, "rb") as closed:
        pass
    errors = tagger.embed([closed, open(file), io.BytesIO(), io.BytesIO(b"text")])["error"]
    for error, reason in zip(errors, ("closed file", "'rb'", "the file is empty", "not a JPEG"), strict=True):
        assert reason in error


def test_a_folder_as_people_have_it(tagger, encode, folder):
    good, moving = encode(RED, "PNG"), [Image.fromarray(RED), Image.new("RGB", (24, 32))]
    root = folder(
        {
            "Été 2024/裙子.webp": encode(RED, "WEBP"),
            "a.jpg": encode(Image.new("CMYK", (24, 32), (0, 255, 255, 0)), "JPEG"),
            "b/phone.jpeg": encode(moving[0], "MPO", save_all=True, append_images=moving[1:]),
            "c-cut.jpg": encode(RED, "JPEG")[:-200],
            "d-empty.png": b"",
            "e-text.jpg": b"<html>not found</html>",
            "f-moving.webp": encode(moving[0], "WEBP", save_all=True, append_images=moving[1:]),
            "g.heic": b"\0\0\0\x18ftypheic",
            "notes.txt": b"buy milk",
            ".hidden/a.jpg": good,
        }
    )
    os.symlink("gone.jpg", root / "i-link.jpg")
    os.symlink(root / "b", root / "j-linked")
    os.mkfifo(root / "k-pipe.jpg")
    (root / os.fsdecode(b"l-caf\xe9.png")).write_bytes(good)
    (root / "m\n\x1b[31m.png").write_bytes(good)
    found = tagger.tag(root, batch_size=3)
    errors = found.dropna(subset="error").set_index("image")["error"].to_dict()
    reasons = [
        "c-cut.jpg",
        "d-empty.png",
        "e-text.jpg",
        "f-moving.webp",
        "g.heic",
        "i-link.jpg",
        "j-linked",
        "k-pipe.jpg",
    ]
    assert list(errors) == reasons and all(error.startswith(f"{name}: ") for name, error in errors.items())
    escaped = ["l-caf\\xe9.png", "m\\n\\x1b[31m.png"]
    names = found["image"].unique().tolist()
    assert names == ["a.jpg", "b/phone.jpeg", *reasons, *escaped, "Été 2024/裙子.webp"]
    assert tag_table(found)["image"].tolist() == [name for name in names if name not in reasons]


def test_paths_that_are_no_photos_are_rows_with_the_reason(tagger, encode, tmp_path):
    (tmp_path / "x.jpg").mkdir()
    (tmp_path / "good.png").write_bytes(encode(RED, "PNG"))
    found = tagger.embed([tmp_path / "gone.jpg", tmp_path / "x.jpg", "a\0b.jpg", tmp_path / "good.png", b""])
    reasons = ["no such file", "a folder, not a photo", "not a path", None, "4: the file is empty"]
    for error, vector, reason in zip(found["error"], found["embedding"], reasons, strict=True):
        assert (reason in error and vector is None) if reason else (pd.isna(error) and len(vector) == 16)


@pytest.mark.parametrize("error", [OSError(errno.EIO, os.strerror(errno.EIO)), MemoryError()])
def test_what_cannot_be_read_for_now_is_a_row_too(tagger, encode, folder, monkeypatch, error):
    root, read = folder({"a.png": encode(RED, "PNG"), "b.png": encode(RED, "PNG")}), photos_module.read_image

    def broken(path, name):
        if name != "b.png":
            return read(path, name)
        raise BadImage(f"{name}: {error}{MAY_PASS}") if isinstance(error, OSError) else error

    monkeypatch.setattr(photos_module, "read_image", broken)
    errors = tagger.embed(root).set_index("image")["error"]
    assert errors["b.png"].startswith("b.png: ") and errors["b.png"].endswith(MAY_PASS) and pd.isna(errors["a.png"])


def test_what_is_no_photo_at_all_is_refused(tagger, tmp_path):
    with pytest.raises(FileNotFoundError, match="photos: there is no file or folder .*gone"):
        tagger.tag(tmp_path / "gone")
    (tmp_path / "notes.txt").write_text("no photo")
    with pytest.raises(ValueError, match="no photo in the folder"):
        tagger.stream(str(tmp_path), Rules())
    for wrong in (RED.astype(np.float32), RED[..., 0], RED.transpose(2, 0, 1), RED[:0]):
        with pytest.raises(ValueError, match=r"photo a: an array must be uint8 \(H, W, 3\), not (uint8|float32) \("):
            tagger.tag([("a", wrong)])
    with pytest.raises(TypeError, match="photo 1: a Tensor is none"):
        tagger.embed([RED, torch.from_numpy(RED)])
    with pytest.raises(TypeError, match="photos: a int is no folder"):
        tagger.tag(3)


def test_an_answer_that_is_not_finite_is_a_row_with_the_reason(data):
    model = tiny_model(data)
    with torch.no_grad():
        for weight in model.body.parameters():
            weight.mul_(1e30)  # finite, and too large to multiply
    tagger = Tagger(model, "damaged")
    for table in (tagger.tag([RED, RED]), tagger.embed([RED, RED])):
        assert len(table) == 2 and table["error"].str.contains("not finite").all()
        assert table.drop(columns=["image", "error"]).isna().all(axis=None)


def test_settings_that_make_no_sense_are_refused(tagger):
    for options in ({"top": 0}, {"batch_size": 0}, {"threshold": 1.5}):
        with pytest.raises(ValueError, match=next(iter(options))):
            tagger.tag([RED], **options)


# --- decoding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead, taken", [(False, 6), (True, 9)])
def test_decoding_stops_when_nobody_asks_for_more(encode, ahead, taken):
    class Endless:
        taken = 0

        def __iter__(self):
            while True:
                self.taken += 1
                yield str(self.taken), encode(RED, "PNG") if self.taken % 2 else BadImage("even")

    photos = Endless()
    stream = decoded(photos, SIZE, 3, ahead)
    names = [next(stream)[0] for _ in range(5)]
    stream.close()
    assert names == ["1", "2", "3", "4", "5"] and photos.taken == taken


def test_on_a_cpu_nothing_is_decoded_while_the_network_works(encode, monkeypatch):
    tagger = tagger_of(SingleLabel("gender", classes=("a", "b")))
    read, started, begun = photos_module.read_photo, [], []

    def reading(*arguments):
        started.append(arguments[0])
        return read(*arguments)

    monkeypatch.setattr(photos_module, "read_photo", reading)
    tagger.network.body.register_forward_pre_hook(lambda *_: begun.append(len(started)))
    tagger.tag([(str(k), encode(RED, "PNG")) for k in range(8)], batch_size=3)
    assert begun == [3, 6, 8]


def test_on_a_machine_of_many_cores_few_photos_are_decoded_at_a_time(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 256)
    pools, pool = [], photos_module.ThreadPoolExecutor
    monkeypatch.setattr(photos_module, "ThreadPoolExecutor", lambda *given: pools.append(given[0]) or pool(*given))
    assert len(list(decoded([("a", RED)], SIZE, 3, True))) == 1 and pools[0] <= 8


# --- model.pth ------------------------------------------------------------------------------------


def test_model_pth_alone_is_enough_for_another_process(tmp_path, encode):
    """And what is optional, or for training and notebooks only, is not loaded."""
    model = MultitaskModel("resnet18", [SingleLabel("gender", classes=("Men", "Women"))], size=SIZE)
    model.temperatures = {"gender": 2.0}
    path = save_model(model, tmp_path / "model.pth")
    (tmp_path / "a photo.png").write_bytes(encode(RED, "PNG"))
    program = (
        "import json, sys; from fashionlib.shop.tagging import Tagger; t = Tagger.load('model.pth', 'cpu');"
        "row = t.tag('a photo.png').loc[0];"
        "loaded = {'accelerate', 'matplotlib', 'tensorboard', 'albumentations', 'IPython'} & set(sys.modules);"
        "print(json.dumps([t.model_id, row['image'], row['label'], float(row['confidence']), sorted(loaded)]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    here = Tagger.load(path, "cpu").tag(RED).loc[0]
    expected = [sha256(path.read_bytes()).hexdigest()[:16], "a photo.png", here["label"]]
    *found, confidence, loaded = json.loads(done.stdout)
    assert found == expected and confidence == pytest.approx(here["confidence"], abs=1e-2) and loaded == []


def test_pixels_in_memory_meet_the_checks_of_files():
    found = read_photo("strip", np.zeros((1, 5000, 3), np.uint8), (60, 80))
    assert isinstance(found, BadImage) and "5000 x 1 is too narrow" in str(found)
