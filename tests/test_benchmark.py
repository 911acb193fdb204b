"""The benchmark measures what it says; how fast is for the tables."""

from __future__ import annotations

import pytest
import torch

from study.speed.training import inference_speed, resident_memory, throughput
from fashionlib.machine.hardware import resolve_precision
from fashionlib.models import MultitaskModel
from fashionlib.training.settings import Settings


def test_throughput_has_every_way_and_ratios_to_the_right_one(garments):
    model = MultitaskModel("resnet18", garments.catalogue.select("taxonomy", "gender"), size=garments.size)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    table = throughput(model, garments, Settings(batch_size=16), steps=1, repeats=1).set_index("what")
    speed = table["images_per_second"]
    assert set(table.index) == {"bare_step", "fit", "bare_forward", "evaluate", "plain_recipe"}
    for what, bare in {"fit": "bare_step", "plain_recipe": "bare_step", "evaluate": "bare_forward"}.items():
        assert table.loc[what, "ratio_to_bare"] == pytest.approx(speed[what] / speed[bare])
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())  # left as it was


def test_resident_memory_is_that_of_this_process():
    private = resident_memory().set_index("kind")["gigabytes"]
    ballast = bytearray(b"x") * (256 * 2**20)
    grown = resident_memory().set_index("kind")["gigabytes"]
    assert grown["private"] - private["private"] == pytest.approx(0.25, abs=0.05)
    assert len(ballast) == 256 * 2**20


@pytest.mark.parametrize("bf16", [False, True])
def test_inference_speed_counts_every_network(garments, monkeypatch, bf16):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"amx_bf16": bf16})
    one, two = (
        MultitaskModel("resnet18", garments.catalogue.select(*tasks), size=garments.size)
        for tasks in (("gender",), ("gender", "season"))
    )
    table = inference_speed(
        {"apart": [one, one], "together": [two]}, garments.only("season"), images=16, repeats=1
    ).set_index("what")
    assert table["ratio"].iloc[0] == 1 and (table["images_per_second"] > 0).all()
    numbers = [sum(p.numel() for p in model.parameters()) for model in (one, two)]
    assert table["parameters"].tolist() == [2 * numbers[0], numbers[1]]


@pytest.mark.parametrize("native", [True, False])
def test_bf16_that_a_gpu_emulates_is_not_taken(monkeypatch, native):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: native or including_emulation)
    found = resolve_precision("auto", torch.device("cuda"))
    assert found == (torch.bfloat16 if native else None)


@pytest.mark.parametrize(
    ("capabilities", "fast"),
    [
        ({"cpu_name": "Intel Xeon", "amx_bf16": True, "avx512_bf16": True}, True),
        ({"cpu_name": "Intel Xeon", "amx_bf16": False, "avx512_bf16": True}, False),
        ({"cpu_name": "AMD EPYC", "amx_bf16": False, "avx512_bf16": True}, True),
        ({"cpu_name": "AMD EPYC", "amx_bf16": False, "avx512_bf16": False}, False),
        ({}, False),
    ],
)
def test_a_cpu_computes_in_bf16_where_that_is_faster(monkeypatch, capabilities, fast):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities)
    assert resolve_precision("auto", torch.device("cpu")) == (torch.bfloat16 if fast else None)
