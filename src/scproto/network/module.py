"""The network and its objective: batch-wise SwAV, propagation and a conditional autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._arguments import check_number, check_whole
from ..data.minibatch import Minibatch
from ..losses import batch_sinkhorn, negative_binomial_nll, propagation_loss, swapped_prediction_loss
from ..metacells import Axes
from ..nn import Alignment, Decoder, Encoder, fit_alignment


@dataclass(frozen=True)
class Losses:
    """The terms of the objective and what they were computed on.

    Attributes
    ----------
    total
        Weighted sum of the terms, scalar.
    terms
        Terms by name, before they are weighted.
    scores
        Cosine similarity of the anchors and the prototypes, ``(n_cells, n_prototypes)``; None in the warm-up.
    """

    total: Tensor
    terms: dict[str, Tensor]
    scores: Tensor | None


ADDED = (
    "theta_of_levels",
    "axes_depth",
    "axes_loadings",
    "axes_origin",
    "axes_offsets",
    "profiles",
    "reference_means",
    "axes_means",
)
"""Weights that models of earlier versions lack."""


class PrototypeModule(nn.Module):
    r"""Cells and prototypes on one hypersphere, with a decoder that turns both into expression.

    .. math:: L = L_{batchSwAV} + \lambda_1 L_{propagation} + \lambda_2 L_{CVAE}

    Parameters
    ----------
    n_genes, n_batches, n_prototypes
        Number of genes, batches and prototypes.
    n_latent, n_hidden
        Dimension of the hypersphere and width of the hidden layers.
    weight_propagation, weight_cvae
        Weights :math:`\lambda_1` and :math:`\lambda_2`. The reconstruction is a sum over genes, in nats.
    epsilon, n_sinkhorn
        Regularisation and number of iterations of the assignment within each batch; see
        :func:`scproto.losses.batch_sinkhorn`.
    temperature
        Temperature of the prediction; see :func:`scproto.losses.swapped_prediction_loss`.
    n_alignment
        Maximum number of rounds of alignment; see :func:`scproto.nn.fit_alignment`.

    Raises
    ------
    InputError
        If a constant is out of range.
    """

    alignment_prototypes: Tensor
    alignment_offsets: Tensor
    theta_of_levels: Tensor
    axes_depth: Tensor
    axes_loadings: Tensor
    axes_origin: Tensor
    axes_offsets: Tensor
    profiles: Tensor
    reference_means: Tensor
    axes_means: Tensor
    log_share: Tensor

    def __init__(
        self,
        n_genes: int,
        n_batches: int,
        n_prototypes: int,
        *,
        n_latent: int = 16,
        n_hidden: int = 256,
        weight_propagation: float = 1.0,
        weight_cvae: float = 0.05,
        epsilon: float = 0.05,
        n_sinkhorn: int = 3,
        temperature: float = 0.1,
        n_alignment: int = 10,
    ) -> None:
        for name, value in (("epsilon", epsilon), ("temperature", temperature)):
            check_number(name, value)
        for name, value in (("weight_propagation", weight_propagation), ("weight_cvae", weight_cvae)):
            check_number(name, value, zero=True)
        super().__init__()
        self.n_batches = n_batches
        self.weight_propagation, self.weight_cvae = weight_propagation, weight_cvae
        self.epsilon, self.temperature = epsilon, temperature
        self.n_sinkhorn = check_whole("n_sinkhorn", n_sinkhorn, 0)
        self.encoder = Encoder(n_genes, n_hidden, n_latent)
        self.decoder = Decoder(n_genes, n_batches, n_latent, n_hidden)
        self.prototypes = nn.Parameter(F.normalize(torch.randn(n_prototypes, n_latent), dim=1))
        self.register_buffer("log_share", torch.zeros(n_batches, n_prototypes), persistent=False)  # equal shares
        self.n_alignment = check_whole("n_alignment", n_alignment, 0)
        self.register_buffer("alignment_prototypes", torch.empty(0, n_prototypes, n_latent))
        self.register_buffer("alignment_offsets", torch.empty(0, n_batches, n_prototypes, n_latent))
        self.register_buffer("theta_of_levels", torch.empty(0, n_genes))
        self.register_buffer("axes_depth", torch.ones(1))
        self.register_buffer("axes_loadings", torch.empty(0, n_genes))
        self.register_buffer("axes_origin", torch.empty(0))
        self.register_buffer("axes_offsets", torch.empty(0, n_batches, n_prototypes))
        self.register_buffer("profiles", torch.empty(0, n_genes))  # of each prototype
        self.register_buffer("reference_means", torch.empty(0, n_latent))  # at each prototype, on the hypersphere
        self.register_buffer("axes_means", torch.empty(0, n_prototypes))

    @property
    def device(self) -> torch.device:
        """Device that holds the weights."""
        return self.prototypes.device

    @property
    def unit_prototypes(self) -> Tensor:
        """Prototypes on the hypersphere, ``(n_prototypes, n_latent)``."""
        return F.normalize(self.prototypes, dim=1)

    @property
    def alignment(self) -> Alignment:
        """Alignment that brings the batches together after the encoder."""
        return Alignment(self.alignment_prototypes, self.alignment_offsets)

    def set_prototypes(self, prototypes: Tensor, alignment: Alignment | None = None) -> None:
        """Replace the prototypes and, if one is given, the alignment."""
        with torch.no_grad():
            self.prototypes.copy_(prototypes)
            if alignment is not None:
                self.alignment_prototypes = alignment.prototypes.to(self.device)
                self.alignment_offsets = alignment.offsets.to(self.device)

    @property
    def axes(self) -> Axes:
        """Axes of the embedding; the buffers keep the axis as the first dimension."""
        loadings, origin, offsets, means = (
            buffer.cpu().numpy()
            for buffer in (self.axes_loadings, self.axes_origin, self.axes_offsets, self.axes_means)
        )
        offsets = np.ascontiguousarray(np.moveaxis(offsets, 0, 2))
        return Axes(np.ascontiguousarray(loadings.T), origin, offsets, np.ascontiguousarray(means.T))

    def set_axes(self, axes: Axes, depth: float) -> None:
        """Set the axes of the embedding, and the number of counts per cell whose log they read."""
        self.axes_depth = torch.tensor([depth], device=self.device)
        for name, values in (
            ("axes_loadings", axes.loadings.T),
            ("axes_origin", axes.origin),
            ("axes_offsets", np.moveaxis(axes.offsets, 2, 0)),
            ("axes_means", axes.means.T),
        ):
            setattr(self, name, torch.from_numpy(np.ascontiguousarray(values)).to(self.device))

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Load the weights of a network of the same sizes; it may have other numbers of rounds and axes."""
        for name, buffer in dict(self.named_buffers()).items():
            if name in weights:
                setattr(self, name, torch.empty_like(weights[name], dtype=buffer.dtype, device=buffer.device))
        self.load_state_dict({name: self.state_dict()[name] for name in ADDED} | dict(weights))

    def set_shares(self, shares: Tensor) -> None:
        """Set the target share of each batch's cells for each prototype, ``(n_batches, n_prototypes)``."""
        self.log_share.copy_(shares.log())

    def align(self, unit: Tensor, batch: Tensor, prototypes: Tensor) -> tuple[Alignment, Tensor, Tensor]:
        """Fit the alignment at given prototypes, on the CPU; see :func:`scproto.nn.fit_alignment`."""
        return fit_alignment(unit, batch, prototypes, self.n_batches, n_rounds=self.n_alignment)

    def loss(self, minibatch: Minibatch, *, prototypes: bool) -> Losses:
        """Compute the objective of a minibatch.

        Parameters
        ----------
        minibatch
            Views of some cells; only the anchors are decoded.
        prototypes
            Whether the prototypes take part. Without them, in the warm-up, only the autoencoder trains.

        Returns
        -------
        losses : Losses
            Total, terms and scores.
        """
        unit = self.encoder(minibatch.x, minibatch.x_transposed)  # (n_views * n_cells, n_latent)
        n_cells = len(minibatch.library)
        reconstruction = self._reconstruction(unit[:n_cells], minibatch)
        if not prototypes:
            return Losses(self.weight_cvae * reconstruction, {"reconstruction": reconstruction}, None)
        scores = unit @ self.unit_prototypes.T  # (n_views * n_cells, n_prototypes)
        assignments = self._assign(scores, minibatch.batch)
        views = scores.view(*minibatch.batch.shape, -1)  # (n_views, n_cells, n_prototypes)
        swav = swapped_prediction_loss(
            views, assignments.view_as(views), minibatch.batch, self.n_batches, temperature=self.temperature
        )
        propagation = propagation_loss(views[0])
        terms = {"swav": swav, "propagation": propagation, "reconstruction": reconstruction}
        total = swav + self.weight_propagation * propagation + self.weight_cvae * reconstruction
        return Losses(total, terms, views[0].detach())

    def _assign(self, scores: Tensor, batch: Tensor) -> Tensor:
        """Assign the cells of each view and batch, all in one pass, ``(n_views * n_cells, n_prototypes)``."""
        n_views = len(batch)
        part = batch + self.n_batches * torch.arange(n_views, device=batch.device).unsqueeze(1)  # (n_views, n_cells)
        return batch_sinkhorn(
            scores,
            part.flatten(),
            n_views * self.n_batches,
            epsilon=self.epsilon,
            n_iterations=self.n_sinkhorn,
            log_share=self.log_share.repeat(n_views, 1),
        )

    def _reconstruction(self, unit: Tensor, minibatch: Minibatch) -> Tensor:
        """Mean negative log-likelihood of the anchors' counts in the decoded genes, scaled to all genes."""
        log_share = self.decoder(unit, minibatch.batch[0], minibatch.genes)  # (n_cells, n_decoded)
        log_theta = self.decoder.log_theta[minibatch.genes]
        nll = negative_binomial_nll(
            log_share.add_(minibatch.library.log().unsqueeze(1)),
            log_theta,
            minibatch.rows,
            minibatch.columns,
            minibatch.counts,
        )
        return nll.mean() * (len(self.decoder.log_theta) / len(minibatch.genes))

    def decode(self, unit: Tensor, batch: int | None = None) -> Tensor:
        """Decode points on the hypersphere into shares of the genes.

        Parameters
        ----------
        unit
            Unit vectors, ``(n_points, n_latent)``.
        batch
            Batch in which to decode; by default the mean over all batches.

        Returns
        -------
        share : Tensor
            Share of each gene in the counts, ``(n_points, n_genes)``. Rows are scaled to sum to one, as training makes
            them do so only approximately.
        """
        batches = range(self.n_batches) if batch is None else [batch]
        total = sum(
            self.decoder(unit, torch.full((len(unit),), b, dtype=torch.long, device=unit.device)).softmax(1)
            for b in batches
        )
        return total / len(batches)
