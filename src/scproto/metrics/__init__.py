"""Scores of embeddings and of metacells: arrays in, floats out."""

from __future__ import annotations

from .denoising import (
    de_share,
    log_mse,
    marker_auroc,
    mean_absolute_correlation,
    permuted_de_shares,
    poisson_loss,
)
from .expression import log1p_cp10k
from .geometry import (
    compactness_variance,
    coverage_quantiles,
    diffusion_components,
    geometry_scores,
    separation_distance,
)
from .homogeneity import (
    compactness_correlation,
    homogeneity_scores,
    inner_normalized_variance,
    inv,
    separation_correlation,
)
from .integration import integration_scores
from .mcrigor import dubious_metacells, dubious_rate, metacell_divergence
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
from .scgraph import scgraph_scores
from .stability import agreement, best_overlap

__all__ = [
    "absent_label_share",
    "agreement",
    "balanced_purity",
    "batch_entropy",
    "best_overlap",
    "compactness_correlation",
    "compactness_variance",
    "contingency",
    "coverage",
    "coverage_quantiles",
    "de_share",
    "diffusion_components",
    "dubious_metacells",
    "dubious_rate",
    "geometry_scores",
    "group_scores",
    "homogeneity_scores",
    "inner_normalized_variance",
    "integration_scores",
    "inv",
    "label_recall",
    "log1p_cp10k",
    "log_mse",
    "marker_auroc",
    "mean_absolute_correlation",
    "metacell_divergence",
    "metacell_scores",
    "mixing_entropy",
    "permuted_de_shares",
    "poisson_loss",
    "purity",
    "scgraph_scores",
    "separation_correlation",
    "separation_distance",
    "size_cv",
]
