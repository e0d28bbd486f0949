"""What ``ablation.py`` changes, one thing at a time.

What the package has a switch for is changed by it, all else from outside: see ``changes.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest.mock import patch

import changes as by
from changes import Change

from scproto.data import views
from scproto.model import module as network
from scproto.nn import Encoder, _matmul, prototype_shares
from scproto.train import schedule


@dataclass(frozen=True)
class Variant:
    """A change of the default.

    Attributes
    ----------
    constants
        Passed to :class:`scproto.SCPROTO`.
    steps
        Steps of the training, relative to the default's.
    training
        Passed to :meth:`scproto.SCPROTO.train`.
    change
        Makes what changes the package from outside; it is entered before the model is made and left after training.
    """

    constants: dict[str, Any] = field(default_factory=dict)
    steps: float = 1.0
    training: dict[str, Any] = field(default_factory=dict)
    change: Callable[[], Change] = nullcontext


def constants(**values: Any) -> Variant:
    """Change what the package has a switch for."""
    return Variant(constants=values)


def change(make: Callable[..., Change], *args: Any, **kwargs: Any) -> Variant:
    """Change the package from outside, by ``make(*args, **kwargs)``."""
    return Variant(change=partial(make, *args, **kwargs))


def warm_up(share: float, **settings: Any) -> Variant:
    """Let the autoencoder train alone for another share of the steps."""
    return Variant(change=partial(patch.object, schedule, "WARM_UP", share), **settings)


def rounds(n: int) -> Variant:
    """Take a fixed number of rounds of alignment, however much or little each does."""
    return Variant(constants={"n_alignment": n}, change=by.fixed_rounds)


VARIANTS: dict[str, Variant] = {
    "default": Variant(),
    "no rounds of alignment": constants(n_alignment=0),
    "3 rounds of alignment": rounds(3),
    "equal shares": change(by.with_shares, by.equal_shares),
    "own shares": change(by.with_shares, by.own_shares),
    "common shares": change(by.with_shares, partial(prototype_shares, reach=1e6)),
    "reach 0.05": change(by.with_shares, partial(prototype_shares, reach=0.05)),
    "reach 0.3": change(by.with_shares, partial(prototype_shares, reach=0.3)),
    "relaxed assignment": change(by.with_sinkhorn, partial(by.relaxed_sinkhorn, relax=0.3)),
    "hard targets": change(by.with_sinkhorn, by.hard_sinkhorn),
    "plain softmax targets": constants(n_sinkhorn=0),
    "queue of 1,024 cells for the assignment": change(by.queue, 1024),
    "coarse prototypes, too": change(by.coarse_prototypes),
    "teacher": change(by.teacher, 0.99),
    "alignment in the loss": change(by.added, by.alignment_term),
    "no propagation": constants(weight_propagation=0.0),
    "propagation of the worst 5 %": change(by.with_propagation, 0.05),
    "propagation of the worst 5 %, 1 % trimmed": change(by.with_propagation, 0.05, 0.01),
    "no re-seeding of prototypes without a cell": change(by.no_reseeding),
    "no density weights": change(by.density, 0.0),
    "density weights, power 1": change(by.density, 1.0),
    "no pairs across batches": change(by.no_pairs_across),
    "all pairs across batches": change(by.all_pairs_across),
    "three views": change(by.three_views),
    "masking: 20 % of the genes of the second view": change(by.second_view, by.masked),
    "thinning: half of the counts of the second view": change(by.second_view, by.thinned),
    "no dropout": change(patch.object, network, "Encoder", partial(Encoder, dropout=0.0)),
    "all genes decoded in each step": change(patch.object, views, "DECODED_GENES", 10**9),
    "float32": change(patch.object, _matmul, "trains", lambda weight: False),
    "reconstruction, weight 0.1": constants(weight_cvae=0.1),
    "dispersion by gene and batch": change(by.dispersion_by_batch),
    "prototypes are decoded, too": change(by.added, by.decoded_prototypes_term),
    "temperature 0.05, epsilon 0.025": constants(temperature=0.05, epsilon=0.025),
    "epsilon 0.1": constants(epsilon=0.1),
    "latent 8": constants(n_latent=8),
    "latent 32": constants(n_latent=32),
    "six starts of the last k-means": change(by.starts, 6),
    "warm-up of 20 %": warm_up(0.2),
    "warm-up of 35 %": warm_up(0.35),
    "half the learning rate": Variant(training={"learning_rate": 2e-3}),
    "warm-up of 35 %, half the learning rate, 1.5 times the steps": warm_up(
        0.35, steps=1.5, training={"learning_rate": 2e-3}
    ),
    "half the steps": Variant(steps=0.5),
    "twice the steps": Variant(steps=2.0),
    "minibatch of 512, half the steps": Variant(steps=0.5, training={"batch_size": 512}),
}
"""Name and change of each variant; the default comes first."""
