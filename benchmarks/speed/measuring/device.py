"""Part ``device``: throughput on a GPU, if torch finds one."""

from __future__ import annotations

from typing import Any

import torch

from .throughput import measure as measure_throughput

NONE = "torch finds no CUDA device here: nothing was measured"


def measure(arguments: dict[str, Any]) -> dict[str, Any]:
    """Measure as in part ``throughput``, on the first CUDA device; return ``none`` if there is no device."""
    if not torch.cuda.is_available():
        return {"none": NONE}
    sizes = arguments["sizes"]
    larger = max(sizes["batch_sizes"]) * 4  # minibatches that fill a CPU do not fill a GPU
    more = {name: [*sizes[name], larger] for name in ("batch_sizes", "scvi_batch_sizes")}
    found = measure_throughput(arguments | {"sizes": sizes | more}, "gpu")
    return found | {"device": torch.cuda.get_device_name()}
