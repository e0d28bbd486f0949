"""Changes of the package from outside: context managers that last as long as a fit takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import normalize
from torch import Tensor, nn
from torch.nn import functional as F

from scproto.data.minibatch import Minibatch, normalise, training_input
from scproto.data.module import CellViews
from scproto.data.views import Request, ViewSampler
from scproto.graph import KnnGraph
from scproto.losses import batch_sinkhorn, swapped_prediction_loss
from scproto.model import module as network
from scproto.model import scproto as model
from scproto.model.module import Losses, PrototypeModule
from scproto.nn import Alignment, density_weights, fit_alignment
from scproto.tl.tree import cut
from scproto.train import plan

Change = AbstractContextManager[Any]
Term = Callable[[PrototypeModule, Tensor, Minibatch], Tensor]


def with_shares(shares: Callable[..., Tensor]) -> Change:
    """Take the shares of the prototypes from another function."""
    return patch.object(plan, "prototype_shares", shares)


def equal_shares(unit: Tensor, batch: Tensor, prototypes: Tensor, n_batches: int) -> Tensor:
    """Ask each batch to fill all prototypes alike: equipartition."""
    return unit.new_full((n_batches, len(prototypes)), 1 / len(prototypes))


def own_shares(unit: Tensor, batch: Tensor, prototypes: Tensor, n_batches: int, temperature: float = 0.05) -> Tensor:
    """Ask each batch for the mean of what its own cells do and equal shares."""
    p = torch.softmax(unit @ prototypes.T / temperature, dim=1)
    member = F.one_hot(batch, n_batches).to(p.dtype)
    own = (member.T @ p) / member.sum(0).clamp_min(1.0).unsqueeze(1)
    return (own + equal_shares(unit, batch, prototypes, n_batches)) / 2


def starts(n: int) -> Change:
    """Start the last k-means more often, and keep the centres that the cells are nearest to."""
    kmeans = model.spherical_kmeans

    def best(unit: NDArray[np.float32], *args: Any, weights: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
        found = [kmeans(unit, *args, weights=weights, seed=seed + i) for i in range(n)]
        return min(found, key=lambda centres: float(weights @ (1.0 - (unit @ centres.T).max(1))))

    return patch.object(model, "spherical_kmeans", best)


def no_reseeding() -> Change:
    """Leave prototypes without a cell where they are."""
    return patch.object(plan.PrototypePlan, "_reseeded", lambda self, unit: self.module.unit_prototypes.detach().cpu())


def with_sinkhorn(assign: Callable[..., Tensor]) -> Change:
    """Assign cells by another function."""
    return patch.object(network, "batch_sinkhorn", assign)


def relaxed_sinkhorn(
    scores: Tensor, batch: Tensor, n_batches: int, *, epsilon: float, n_iterations: int, log_share: Tensor, relax: float
) -> Tensor:
    """Hold the prototypes to their shares by a divergence only: of the excess a part is taken off in each scaling."""
    with torch.no_grad():
        log_q = torch.log_softmax(scores / epsilon, dim=1)
        index = batch.unsqueeze(1).expand_as(log_q)
        for _ in range(n_iterations):
            excess = _segment_logsumexp(log_q, index, n_batches) - log_share
            log_q = torch.log_softmax(log_q - relax * excess.gather(0, index), dim=1)
        return log_q.exp()


def _segment_logsumexp(x: Tensor, index: Tensor, n_segments: int) -> Tensor:
    """Log-sum-exp of the rows of each segment, ``(n_segments, n_columns)``."""
    top = x.new_full((n_segments, x.shape[1]), -torch.inf).scatter_reduce(0, index, x, "amax")
    top = top.clamp_min(torch.finfo(x.dtype).min)  # segments without a row
    total = torch.zeros_like(top).scatter_add(0, index, (x - top.gather(0, index)).exp())
    return top + total.log()


def hard_sinkhorn(scores: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Give each cell wholly to the prototype that gets most of it."""
    return F.one_hot(batch_sinkhorn(scores, *args, **kwargs).argmax(1), scores.shape[1]).to(scores.dtype)


@contextmanager
def queue(n_cells: int) -> Iterator[None]:
    """Balance each minibatch together with the cells of the last ones, once there are `n_cells` of them."""
    assign = PrototypeModule._assign
    kept: deque[tuple[Tensor, Tensor]] = deque()

    def queued(self: PrototypeModule, scores: Tensor, batch: Tensor) -> Tensor:
        size = batch.shape[1]
        kept.append((scores.detach().unflatten(0, batch.shape), batch))  # (n_views, n_cells, n_prototypes)
        if (len(kept) - 1) * size < n_cells:
            return assign(self, scores, batch)
        together, batches = (torch.cat(parts, dim=1) for parts in zip(*kept, strict=True))
        kept.popleft()
        return assign(self, together.flatten(0, 1), batches).unflatten(0, batches.shape)[:, -size:].flatten(0, 1)

    with patch.object(PrototypeModule, "_assign", queued):
        yield


@contextmanager
def coarse_prototypes(ratio: int = 8) -> Iterator[None]:
    """Swap predictions of the means of Ward groups of the prototypes, too; one group for `ratio` prototypes."""
    set_prototypes = PrototypeModule.set_prototypes
    state: dict[str, Any] = {}

    def regroup(self: PrototypeModule, prototypes: Tensor, alignment: Alignment | None = None) -> None:
        set_prototypes(self, prototypes, alignment)
        group = cut(self.unit_prototypes.detach().cpu().numpy(), max(2, round(len(prototypes) / ratio))).group
        state.update(module=self, member=F.one_hot(torch.from_numpy(group)).to(self.prototypes))

    def both(scores: Tensor, fine: Tensor, batches: Tensor, n_batches: int, *, temperature: float) -> Tensor:
        module, member = state["module"], state["member"]  # (n_prototypes, n_groups)
        length = (module.unit_prototypes.T @ member).norm(dim=0)
        coarse = scores @ member / length  # the cosine to the means, as all are linear in the prototypes
        constants = {"epsilon": module.epsilon, "n_iterations": module.n_sinkhorn}
        constants["log_share"] = (module.log_share.exp() @ member).log()
        targets = torch.stack(
            [batch_sinkhorn(s, b, n_batches, **constants) for s, b in zip(coarse, batches, strict=True)]
        )
        pairs = ((scores, fine), (coarse, targets))
        return sum(swapped_prediction_loss(*pair, batches, n_batches, temperature=temperature) for pair in pairs)

    with (
        patch.object(PrototypeModule, "set_prototypes", regroup),
        patch.object(network, "swapped_prediction_loss", both),
    ):
        yield


@contextmanager
def teacher(decay: float) -> Iterator[None]:
    """Assign cells by a moving average of encoder and prototypes, without dropout."""
    loss, assign, set_prototypes = PrototypeModule.loss, PrototypeModule._assign, PrototypeModule.set_prototypes
    state: dict[str, Any] = {}

    @torch.no_grad()
    def follow(module: PrototypeModule) -> None:
        if not state:
            encoder = deepcopy(module.encoder).eval()
            state.update(encoder=encoder, prototypes=module.unit_prototypes.clone())
        for average, weight in zip(state["encoder"].parameters(), module.encoder.parameters(), strict=True):
            average.lerp_(weight, 1 - decay)
        state["prototypes"].lerp_(module.unit_prototypes, 1 - decay)

    def follow_first(self: PrototypeModule, minibatch: Minibatch, *, prototypes: bool) -> Losses:
        if prototypes:
            follow(self)
            state["input"] = (minibatch.x, minibatch.x_transposed)
        return loss(self, minibatch, prototypes=prototypes)

    @torch.no_grad()
    def by_teacher(self: PrototypeModule, scores: Tensor, batch: Tensor) -> Tensor:
        return assign(self, state["encoder"](*state["input"]) @ F.normalize(state["prototypes"], dim=1).T, batch)

    @torch.no_grad()
    def jump(self: PrototypeModule, prototypes: Tensor, alignment: Alignment | None = None) -> None:
        before = self.unit_prototypes
        set_prototypes(self, prototypes, alignment)
        if state:  # prototypes that were put elsewhere are so for the teacher, too
            moved = (self.unit_prototypes - before).norm(dim=1) > 1e-3
            state["prototypes"][moved] = self.unit_prototypes[moved]

    with patch.multiple(PrototypeModule, loss=follow_first, _assign=by_teacher, set_prototypes=jump):
        yield


@contextmanager
def added(term: Term) -> Iterator[None]:
    """Add a term of the unit vectors of the anchors to the objective once the prototypes take part."""
    loss, reconstruction = PrototypeModule.loss, PrototypeModule._reconstruction
    anchors: list[Tensor] = []

    def keep(self: PrototypeModule, unit: Tensor, minibatch: Minibatch) -> Tensor:
        anchors[:] = [unit]
        return reconstruction(self, unit, minibatch)

    def with_term(self: PrototypeModule, minibatch: Minibatch, *, prototypes: bool) -> Losses:
        losses = loss(self, minibatch, prototypes=prototypes)
        if not prototypes:
            return losses
        value = term(self, anchors[0], minibatch)
        return replace(losses, total=losses.total + value, terms=losses.terms | {"added": value})

    with patch.multiple(PrototypeModule, loss=with_term, _reconstruction=keep):
        yield


def alignment_term(module: PrototypeModule, unit: Tensor, minibatch: Minibatch, temperature: float = 0.1) -> Tensor:
    """Squared distance of each batch's mean at a prototype from the mean over the batches, weighted by its mass."""
    with torch.no_grad():
        p = torch.softmax(unit @ module.unit_prototypes.T / temperature, dim=1)
        member = F.one_hot(minibatch.batch[0], module.n_batches).to(p.dtype)
        mass = (member.T @ p).unsqueeze(2)  # (n_batches, n_prototypes, 1)
        trust = mass / (mass + 1.0)
    spread = (member.unsqueeze(2) * unit.unsqueeze(1)).flatten(1)  # (n_cells, n_batches * n_latent)
    total = (p.T @ spread).unflatten(1, (module.n_batches, -1)).transpose(0, 1)
    tiny = torch.finfo(p.dtype).tiny
    mean = total / mass.clamp_min(tiny)  # (n_batches, n_prototypes, n_latent)
    centre = (trust * mean).sum(0) / trust.sum(0).clamp_min(tiny)
    return (mass * (trust * (mean - centre)).square()).sum() / mass.sum()


def decoded_prototypes_term(module: PrototypeModule, unit: Tensor, minibatch: Minibatch) -> Tensor:
    """Reconstruction of the anchors from the prototypes nearest to them."""
    prototypes = module.unit_prototypes
    nearest = (unit.detach() @ prototypes.detach().T).argmax(1)
    return module.weight_cvae * module._reconstruction(prototypes[nearest], minibatch)


def with_propagation(worst: float, trim: float = 0.0) -> Change:
    """Take the mean distance of the worst cells, the very worst left out, in place of that of the farthest."""

    def propagation(scores: Tensor) -> Tensor:
        n = len(scores)
        farthest = (1.0 - scores.max(dim=1).values).topk(max(1, round(worst * n))).values
        return farthest[min(round(trim * n), len(farthest) - 1) :].mean()

    return patch.object(network, "propagation_loss", propagation)


@contextmanager
def density(power: float) -> Iterator[None]:
    """Let the weights of the cells fall with another power of the density."""
    weights = partial(density_weights, power=power)
    with patch.object(plan, "density_weights", weights), patch.object(model, "density_weights", weights):
        yield


def fixed_rounds() -> Change:
    """Align as many rounds as are allowed, also where the cells come no nearer to their prototypes."""
    return patch.object(network, "fit_alignment", partial(fit_alignment, tolerance=-np.inf))


def no_pairs_across() -> Change:
    """Find no mutual neighbour in another batch."""
    return patch.object(
        plan, "mutual_neighbors", lambda unit, *_, **__: KnnGraph.from_table(np.full((len(unit), 1), -1))
    )


def all_pairs_across() -> Change:
    """Take a mutual neighbour in another batch wherever there is one."""
    return patch.dict(ViewSampler.__init__.__kwdefaults__, cross_share=1.0)


def three_views() -> Change:
    """Draw a third view like the second."""

    def requests(self: ViewSampler) -> Iterator[Request]:
        anchors = self._anchors()
        drawn = [anchors, *(self._partners(anchors) for _ in range(2 * self.paired))]
        shape = (len(drawn), self.steps_per_epoch, self.batch_size)
        for cells in np.stack(drawn).reshape(shape).swapaxes(0, 1):
            yield Request(cells, self._genes())

    return patch.object(ViewSampler, "__iter__", requests)


def second_view(read: Callable[[CellViews, NDArray[np.int64], np.random.Generator], sp.csr_matrix]) -> Change:
    """Read the encoder's input of the second view in another way."""
    original, rng = CellViews.__getitem__, np.random.default_rng(0)

    def changed(self: CellViews, request: Request) -> Minibatch:
        minibatch = original(self, request)
        if len(request.views) == 1:
            return minibatch
        x = sp.vstack([normalise(self.counts[request.views[0]]), read(self, request.views[1], rng)], format="csr")
        x, x_transposed = training_input(x)
        return replace(minibatch, x=x, x_transposed=x_transposed)

    return patch.object(CellViews, "__getitem__", changed)


def masked(cells: CellViews, rows: NDArray[np.int64], rng: np.random.Generator) -> sp.csr_matrix:
    """Set each gene of each cell to zero with a probability of one fifth."""
    x = normalise(cells.counts[rows])
    x.data *= rng.random(len(x.data), dtype=np.float32) >= 0.2
    return normalize(x, copy=False)


def thinned(cells: CellViews, rows: NDArray[np.int64], rng: np.random.Generator) -> sp.csr_matrix:
    """Keep each count with a probability of one half."""
    counts = cells.counts[rows]
    counts.data = rng.binomial(counts.data.astype(np.int64), 0.5).astype(np.float32)
    return normalise(counts)


@contextmanager
def dispersion_by_batch() -> Iterator[None]:
    """Learn an inverse dispersion for each gene and batch."""
    init = PrototypeModule.__init__

    def with_dispersions(self: PrototypeModule, n_genes: int, n_batches: int, *args: Any, **kwargs: Any) -> None:
        init(self, n_genes, n_batches, *args, **kwargs)
        self.log_theta = nn.Parameter(torch.zeros(n_batches, n_genes))

    def reconstruction(self: PrototypeModule, unit: Tensor, minibatch: Minibatch) -> Tensor:
        batch, genes, rows, counts = minibatch.batch[0], minibatch.genes, minibatch.rows, minibatch.counts
        log_theta = self.log_theta[:, genes][batch]  # (n_cells, n_decoded)
        log_mean = self.decoder(unit, batch, genes) + minibatch.library.log().unsqueeze(1)
        logits, theta = log_mean - log_theta, log_theta.exp()
        log_total = F.softplus(logits)
        at = rows * len(genes) + minibatch.columns
        theta_nz, odds = theta.flatten()[at], (logits - log_total).flatten()[at]
        stored = torch.lgamma(counts + theta_nz) - torch.lgamma(theta_nz) - torch.lgamma(counts + 1.0) + counts * odds
        nll = (log_total * theta).sum(1).index_add(0, rows, -stored)
        return nll.mean() * (self.log_theta.shape[1] / len(genes))

    with patch.multiple(PrototypeModule, __init__=with_dispersions, _reconstruction=reconstruction):
        yield
