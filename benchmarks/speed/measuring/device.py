"""Part ``device``: the throughput on a GPU, if torch finds one."""

from __future__ import annotations

from typing import Any

from .throughput import measure as measure_throughput

NONE = "torch finds no CUDA device here: nothing was measured"


def measure(arguments: dict[str, Any]) -> dict[str, Any]:
    """As part ``throughput`` on the first CUDA device; ``none`` where there is none."""
    import torch

    if not torch.cuda.is_available():
        return {"none": NONE}
    return measure_throughput(arguments, "gpu") | {"device": torch.cuda.get_device_name()}
