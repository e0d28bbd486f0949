from __future__ import annotations

import pytest
import torch

from scproto._compat import multiplies_bfloat16, reads_halves

INSTRUCTIONS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def ask(device: str) -> bool:
    """Ask the hardware, not the cache."""
    return multiplies_bfloat16.__wrapped__(torch.device(device))


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_either_kind_of_instructions_is_enough_for_a_processor(monkeypatch, first, second):
    for name, there in zip(INSTRUCTIONS, (first, second), strict=True):
        monkeypatch.setattr(torch.cpu, name, lambda there=there: there, raising=False)
    assert ask("cpu") is (first or second)


def test_without_a_way_to_ask_torch_the_answer_is_no(monkeypatch):
    for name in INSTRUCTIONS:
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert ask("cpu") is False


@pytest.mark.parametrize("supported", [False, True])
def test_emulation_by_the_accelerator_does_not_count(monkeypatch, supported):
    def is_bf16_supported(including_emulation: bool = True) -> bool:
        return including_emulation or supported

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    assert ask("cuda") is supported


def test_other_devices_do_not_multiply_bfloat16(monkeypatch):
    for name in INSTRUCTIONS:
        monkeypatch.setattr(torch.cpu, name, lambda: True, raising=False)
    assert ask("meta") is False


def test_the_hardware_is_asked_once():
    assert multiplies_bfloat16(torch.device("cpu")) is ask("cpu")
    before = multiplies_bfloat16.cache_info().misses
    multiplies_bfloat16(torch.device("cpu"))
    assert multiplies_bfloat16.cache_info().misses == before


@pytest.mark.parametrize(("capability", "expected"), [("AVX2", True), ("AVX512", True), ("DEFAULT", False)])
def test_only_x86_with_avx_reads_halves(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert reads_halves.__wrapped__() is expected
