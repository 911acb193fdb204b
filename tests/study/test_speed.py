"""The benchmarks measure what they say; how fast is for the tables."""

import numpy as np
import pytest
import torch

from fashionlib.metrics.ranking import rank
from study.speed import in_turns, ranking
from study.speed.annotations import write_attribute_file
from study.speed.training import inference_speed, throughput
from tiny import SETTINGS, tiny_model


def test_turns_alternate_and_the_median_counts():
    told, asked = {"a": iter([1.0, 9.0, 2.0]), "b": iter([5.0, 4.0, 3.0])}, []
    ways = {what: lambda what=what: asked.append(what) or next(told[what]) for what in told}
    ways["waits"] = lambda: asked.append("waits")
    median = in_turns(ways, 3)
    assert asked == ["a", "b", "waits"] * 3
    assert median[["a", "b"]].tolist() == [2.0, 4.0] and 0 <= median["waits"] < 1


def test_throughput_has_every_way_and_ratios_to_the_right_one(trained):
    model, data = trained
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    table = throughput(model, data, SETTINGS, steps=2, repeats=1).set_index("what")
    speed = table["images_per_second"]
    assert list(table.index) == ["bare_step", "fit", "bare_forward", "evaluate", "plain_recipe"] and (speed > 0).all()
    for what, bare in {"fit": "bare_step", "plain_recipe": "bare_step", "evaluate": "bare_forward"}.items():
        assert table.loc[what, "ratio_to_bare"] == pytest.approx(speed[what] / speed[bare])
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())  # left as it was


def test_inference_speed_counts_every_network(trained):
    _, data = trained
    one, two = tiny_model(data, "gender"), tiny_model(data, "gender", "words")
    table = inference_speed({"apart": [one, one], "together": [two]}, data, images=16, repeats=1).set_index("what")
    assert table["ratio"].iloc[0] == 1 and (table["images_per_second"] > 0).all()
    numbers = [sum(p.numel() for p in model.parameters()) for model in (one, two)]
    assert table["parameters"].tolist() == [2 * numbers[0], numbers[1]]


def test_ranked_embeddings_are_unit_length_scattered_around_items_and_the_same_every_time():
    queries, gallery, query_items, gallery_items = ranking.made_up(90, 80, 64, 30)
    assert queries.shape == (90, 64) and gallery.shape == (80, 64) and queries.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-6)
    assert set(query_items) == set(gallery_items) == set(range(30))
    assert 0.1 < rank(queries, gallery, query_items, gallery_items).scores()["recall_at_1"] < 1
    np.testing.assert_array_equal(ranking.made_up(90, 80, 64, 30)[1], gallery)


def test_an_attribute_file_has_the_shape_of_a_real_one_and_is_the_same_every_time(tmp_path):
    files = [tmp_path / name for name in ("one.txt", "two.txt")]
    for file in files:
        write_attribute_file(file, 2100, 40, seed=3)
    assert files[0].read_bytes() == files[1].read_bytes()
    count, header, *lines = files[0].read_text().splitlines()
    assert (count, len(lines)) == ("2100", 2100) and header.split() == ["image_name", "attribute_labels"]
    values = np.array([line.split()[1:] for line in lines]).astype(int)
    assert values.shape == (2100, 40) and set(np.unique(values)) == {-1, 0, 1}
    assert 2.5 < (values == 1).sum(1).mean() < 4 and len(set(map(len, lines))) == 1
