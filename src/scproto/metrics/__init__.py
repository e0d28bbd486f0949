"""Scores of embeddings and of metacells: arrays in, floats out."""

from __future__ import annotations

from .integration import integration_scores
from .metacells import (
    balanced_purity,
    batch_entropy,
    contingency,
    coverage,
    label_recall,
    metacell_scores,
    mixing_entropy,
    purity,
    size_cv,
)

__all__ = [
    "balanced_purity",
    "batch_entropy",
    "contingency",
    "coverage",
    "integration_scores",
    "label_recall",
    "metacell_scores",
    "mixing_entropy",
    "purity",
    "size_cv",
]
