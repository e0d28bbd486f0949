"""The only place that knows about versions of other libraries."""

from __future__ import annotations

import warnings
from functools import cache

import torch
from torch import Tensor

with warnings.catch_warnings():
    # torch says once a process that CSR tensors are in beta; the products used here are long-standing
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 1], [0], [1.0], (1, 1), check_invariants=False)


def csr_tensor(indptr: Tensor, indices: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Sparse CSR tensor of arrays that are known to be valid."""
    return torch.sparse_csr_tensor(indptr, indices, values, shape, check_invariants=False)


@cache
def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the hardware has instructions for products of bfloat16; elsewhere they are emulated, and slow."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    supported = (
        getattr(torch.cpu, name, lambda: False) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return device.type == "cpu" and any(instructions() for instructions in supported)


@cache
def reads_halves() -> bool:
    """Whether torch sums rows of float16 by instructions that convert them as they are read: on x86, by fbgemm."""
    return torch.backends.cpu.get_cpu_capability().startswith("AVX")
