"""Scores of embeddings and of metacells: arrays in, floats out."""

from __future__ import annotations

from .integration import integration_scores
from .metacells import (
    absent_label_share,
    balanced_purity,
    batch_entropy,
    contingency,
    coverage,
    group_scores,
    label_recall,
    metacell_scores,
    mixing_entropy,
    purity,
    size_cv,
)

__all__ = [
    "absent_label_share",
    "balanced_purity",
    "batch_entropy",
    "contingency",
    "coverage",
    "group_scores",
    "integration_scores",
    "label_recall",
    "metacell_scores",
    "mixing_entropy",
    "purity",
    "size_cv",
]
