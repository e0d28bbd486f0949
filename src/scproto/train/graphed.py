"""The objective as a CUDA graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..data.minibatch import Minibatch
from ..network import Losses, PrototypeModule

INPUTS = ("x", "batch", "genes", "counts", "library")
"""Tensors of a dense minibatch."""


class GraphedLoss:
    """:meth:`PrototypeModule.loss` and its gradients, replayed from a CUDA graph.

    A step launches some three hundred kernels of a few microseconds each. The GPU finishes them faster than the host
    can launch the next. A graph launches them all at once. Its shapes are fixed, so there is one graph per number of
    decoded genes.

    Parameters
    ----------
    module
        Network on a CUDA device. Its parameters may change in place, but must not move.
    """

    def __init__(self, module: PrototypeModule) -> None:
        self.module = module
        self._graphs: dict[tuple[bool, torch.Size], tuple[Callable[..., Any], list[str]]] = {}

    def __call__(self, minibatch: Minibatch, *, prototypes: bool) -> Losses:
        """Compute :meth:`PrototypeModule.loss` of a dense minibatch. The next call overwrites the result."""
        key = prototypes, minibatch.counts.shape  # these determine the other shapes
        inputs = tuple(getattr(minibatch, name) for name in INPUTS)
        if key not in self._graphs:
            objective = _Objective(self.module, prototypes)
            # A resumed training captures the graph again, and must draw as if it had not.
            with torch.random.fork_rng(devices=[inputs[0].device]), warnings.catch_warnings():
                # it concerns the capture, which runs on its own stream and accumulates no gradient
                warnings.filterwarnings("ignore", "The AccumulateGrad node's stream does not match")
                graph = torch.cuda.make_graphed_callables(objective, inputs, allow_unused_input=True)
            self._graphs[key] = graph, objective.names
        graph, names = self._graphs[key]
        total, scores, *terms = graph(*inputs)
        return Losses(total, dict(zip(names, terms, strict=True)), scores if prototypes else None)


class _Objective(nn.Module):
    """The objective, with only tensors as arguments and results."""

    def __init__(self, module: PrototypeModule, prototypes: bool) -> None:
        super().__init__()
        self.module = module
        self.prototypes = prototypes
        self.names: list[str] = []

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the total, the scores (empty in the warm-up) and the terms."""
        minibatch = Minibatch(x_transposed=None, rows=None, columns=None, **dict(zip(INPUTS, inputs, strict=True)))
        losses = self.module.loss(minibatch, prototypes=self.prototypes)
        self.names = list(losses.terms)
        scores = losses.total.new_empty(0) if losses.scores is None else losses.scores
        return losses.total, scores, *(term.detach() for term in losses.terms.values())
