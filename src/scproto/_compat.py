"""Differences between versions of other libraries; no other module knows about them."""

from __future__ import annotations

import warnings
from functools import cache

import torch
from torch import Tensor

with warnings.catch_warnings():
    # torch warns once per process that CSR tensors are in beta; the products used here have been stable for long
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 1], [0], [1.0], (1, 1), check_invariants=False)


def csr_tensor(indptr: Tensor, indices: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Sparse CSR tensor from arrays that are known to be valid."""
    return torch.sparse_csr_tensor(indptr, indices, values, shape, check_invariants=False)


@cache
def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the hardware has instructions for products of bfloat16; without them, slow emulation takes over."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    supported = (
        getattr(torch.cpu, name, lambda: False) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return device.type == "cpu" and any(instructions() for instructions in supported)


@cache
def reads_halves() -> bool:
    """Whether torch has instructions that convert float16 while summing rows, as fbgemm does on x86."""
    return torch.backends.cpu.get_cpu_capability().startswith("AVX")
