"""Losses and the Sinkhorn assignment as pure functions: tensors in, tensors out."""

from .negative_binomial import negative_binomial_nll
from .propagation import propagation_loss
from .sinkhorn import batch_sinkhorn
from .swav import swapped_prediction_loss

__all__ = ["batch_sinkhorn", "negative_binomial_nll", "propagation_loss", "swapped_prediction_loss"]
