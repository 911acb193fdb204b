"""The fastest arithmetic is the one that takes the least time, and none is tried for long that is slow."""

import torch

from fashionlib.machine import hardware
from fashionlib.machine.hardware import Arithmetic, candidates, fastest
from study.speed import peak_memory


def test_the_fastest_is_chosen_and_a_slow_one_is_tried_twice(monkeypatch):
    seconds = {"fp32 contiguous": 0.02, "fp32 channels_last": 0.002, "bf16 contiguous": 0.1, "bf16 channels_last": 0.02}
    tried, clock = [], [0.0]
    monkeypatch.setattr(hardware.time, "perf_counter", lambda: clock[0])

    def step(arithmetic):
        tried.append(f"{arithmetic.precision} {arithmetic.layout}")
        clock[0] += seconds[tried[-1]]

    among = [Arithmetic(p, f) for p in hardware.PRECISIONS for f in hardware.LAYOUTS]
    best, measured = fastest(step, among)
    assert best == Arithmetic("fp32", "channels_last") and [f"{a.precision} {a.layout}" for a in measured] == list(
        seconds
    )
    assert tried.count("bf16 contiguous") == 2 and tried.count("fp32 channels_last") == 4


def test_what_is_given_is_not_measured():
    cpu = torch.device("cpu")
    assert candidates(cpu, "bf16", "channels_last") == [Arithmetic("bf16", "channels_last")]
    best, measured = fastest(lambda _: 1 / 0, candidates(cpu, "fp32", "contiguous"))
    assert best == Arithmetic() and measured == {}


def test_bf16_is_left_out_where_it_is_merely_emulated(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    assert {a.precision for a in candidates(torch.device("cpu"))} == {"fp32"}
    assert {a.precision for a in candidates(torch.device("cuda"))} == {"fp32", "bf16"}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": True})
    assert {a.precision for a in candidates(torch.device("cpu"))} == {"fp32", "bf16"}


def test_peak_memory_grows_with_what_is_held():
    before = peak_memory()
    held = torch.ones(int((before + 0.3) * 1e9 / 4))  # more than this process has had so far
    assert peak_memory() > before + 0.2 and held.sum() > 0
