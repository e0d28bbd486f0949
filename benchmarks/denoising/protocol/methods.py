"""The methods that are compared."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from comparison.methods import Method

_method = partial(Method, folder=Path(__file__).parents[1] / "peers")

METHODS = {
    "scproto": _method("scproto", "scproto_levels"),
    "none": _method("no denoising", "no_denoising"),
    "knn": _method("kNN smoothing", "knn_smoothing"),
    "magic": _method("MAGIC", "magic_impute"),
    "low_rank": _method("low rank", "low_rank"),
    "scvi": _method("scVI", "scvi_defaults"),
}
"""By the name that ``--methods`` takes."""
