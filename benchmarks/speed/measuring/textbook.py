"""The model as one would write it down: dense input, every gene and entry in each step, float32, no CUDA graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scproto.data.views import ViewSampler
from scproto.nn.decoder import Decoder


def textbook_nll(
    log_mean: Tensor, log_theta: Tensor, rows: Tensor | None, columns: Tensor | None, counts: Tensor
) -> Tensor:
    """Negative log-likelihood of the negative binomial with its log-gammas at every entry, ``(n_cells,)``.

    The arguments are those of :func:`scproto.losses.negative_binomial_nll`.
    """
    x = counts if rows is None else torch.zeros_like(log_mean).index_put_((rows, columns), counts)
    theta = log_theta.exp()
    log_total = torch.logaddexp(log_theta, log_mean)  # log(theta + mu)
    log_likelihood = (
        torch.lgamma(x + theta)
        - torch.lgamma(theta)
        - torch.lgamma(x + 1.0)
        + theta * (log_theta - log_total)
        + x * (log_mean - log_total)
    )
    return -log_likelihood.sum(1)


@contextmanager
def textbook() -> Iterator[None]:
    """Let the model be trained that way within the block; its parameters and its objective stay what they are."""
    forward = Decoder.forward

    def all_genes(sampler: ViewSampler) -> NDArray[np.int64]:
        return np.arange(len(sampler.genes))

    def without_gather(decoder: Decoder, unit: Tensor, batch: Tensor, genes: Tensor | None = None) -> Tensor:
        return forward(decoder, unit, batch)

    with ExitStack() as stack:
        for place, new in {
            "scproto.data.minibatch.DENSE_ABOVE": 0.0,
            "scproto.nn._matmul.trains": lambda _: False,
            "scproto.model.module.negative_binomial_nll": textbook_nll,
            "scproto.train.plan.GraphedLoss": lambda module: module.loss,
        }.items():
            stack.enter_context(patch(place, new))
        stack.enter_context(patch.object(ViewSampler, "_genes", all_genes))
        stack.enter_context(patch.object(Decoder, "forward", without_gather))
        yield
