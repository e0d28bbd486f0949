"""Part ``device``: the throughput on a GPU, if torch finds one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .setup import Setup
from .throughput import measure as measure_throughput

NONE = "torch finds no CUDA device here: nothing was measured"


def measure(arguments: dict[str, Any]) -> dict[str, Any]:
    """As part ``throughput`` on the first CUDA device; ``none`` where there is none."""
    import torch

    if not torch.cuda.is_available():
        return {"none": NONE}
    setup = Setup.from_json(arguments)
    larger = max(setup.sizes.batch_sizes) * 4  # a GPU is not yet busy with what a CPU is
    sizes = replace(
        setup.sizes,
        batch_sizes=(*setup.sizes.batch_sizes, larger),
        scvi_batch_sizes=(*setup.sizes.scvi_batch_sizes, larger),
    )
    arguments = replace(setup, sizes=sizes).to_json()
    return measure_throughput(arguments, "gpu") | {"device": torch.cuda.get_device_name()}
