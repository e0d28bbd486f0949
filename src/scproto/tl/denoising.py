"""The choice of how to denoise, by held-out counts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .. import _keys
from .._arguments import check_seed
from ..data.halves import split
from ..data.memory import MemoryCells
from ..metrics.denoising import poisson_loss

if TYPE_CHECKING:
    from ..model import SCPROTO
    from ..model.denoiser import Denoiser, Level

SEEN = 0.9
"""Share of the counts that the model sees; it predicts the others."""

MAX_SCORED = 5000
"""Maximum number of cells whose held-out counts are predicted."""

WORDS = {
    "cell": "the cell's own embedding, decoded",
    "prototype": "the nearest prototype, decoded",
    "mixture": "all prototypes, decoded and weighted by their probability",
}


@dataclass(frozen=True)
class Denoising:
    """Losses of all ways to denoise, and the best way.

    Attributes
    ----------
    table
        One row per way: ``level``, ``posterior`` (whether the counts of the cell update the decoded expression) and
        ``loss`` (Poisson loss of the held-out counts, nats per cell).
    level, posterior
        Level and posterior with the lowest loss.
    """

    table: pd.DataFrame
    level: str
    posterior: bool

    def __str__(self) -> str:
        """The table, and the choice in words."""
        return f"{self.table.round(3).to_string(index=False)}\nBest: {self.words}."

    @property
    def words(self) -> str:
        """The choice in words."""
        return WORDS[self.level] + (", updated by the cell's counts" if self.posterior else "")

    def to_json(self) -> dict[str, Any]:
        """The choice and all losses, for JSON and for ``uns`` of an AnnData object."""
        names = self.table["level"] + np.where(self.table["posterior"], " posterior", "")
        losses = {str(name): float(loss) for name, loss in zip(names, self.table["loss"], strict=True)}
        return {"level": self.level, "posterior": self.posterior, "words": self.words, "loss": losses, "seen": SEEN}


def choose_denoising(adata: AnnData, model: SCPROTO, *, seed: int = 0, **train_kwargs: Any) -> Denoising:
    """Choose level and posterior of the denoised expression by molecular cross-validation.

    A second model with the same settings is trained on a random 90 % of the counts. It embeds each cell and denoises
    it as its own batch, at each level, with and without an update by the cell's counts. The expected expression is
    compared with the other 10 % of the counts, and the lowest Poisson loss wins. The second training is needed because
    a network that has learnt from the held-out counts would favour the level of the cell, whose counts it has partly
    memorised.

    Parameters
    ----------
    adata
        The cells that the model was trained on, or other cells of its batches. The choice is written to
        ``adata.uns["scproto"]["denoising"]``, where ``model.get_normalized_expression(adata, level="auto")`` finds it.
    model
        A trained model.
    seed
        Seed of the split, and of the choice of cells to score if there are more than 5,000.
    **train_kwargs
        Arguments of :meth:`scproto.SCPROTO.train`, such as ``max_steps``, as in the model's own training.

    Returns
    -------
    denoising : Denoising
        All losses, and the best way to denoise.

    Raises
    ------
    InputError
        If the cells lack the model's genes or come from an unknown batch, or are fewer than its prototypes.

    References
    ----------
    Batson, Royer and Webber, bioRxiv 2019 (molecular cross-validation).
    """
    seed = check_seed(seed)
    from ..model.denoiser import LEVELS
    from ..model.habits import check_train_arguments

    check_train_arguments(model.train, train_kwargs)
    rng = np.random.default_rng(seed)
    cells = model.cells(adata)
    seen, held_out = split(cells, rng, SEEN)
    kept = np.flatnonzero(np.asarray(seen.counts.sum(axis=1)).ravel())  # leaves out cells without seen counts
    refitted = _fit_again(model, seen.counts[kept], adata[kept], train_kwargs)
    scored = np.sort(rng.permutation(len(kept))[:MAX_SCORED])
    genes = pd.Index(model.reader.genes).get_indexer(refitted.reader.genes)
    of_refitted = refitted.cells()
    denoiser = refitted.denoiser(MemoryCells(of_refitted.take(scored), of_refitted.batch[scored]))
    ways = pd.DataFrame(list(product(LEVELS, (False, True))), columns=["level", "posterior"])
    loss = [_loss(denoiser, way.level, way.posterior, held_out[kept[scored]][:, genes]) for way in ways.itertuples()]
    table = ways.assign(loss=loss)
    best = table.loc[table["loss"].idxmin()]
    found = Denoising(table, str(best["level"]), bool(best["posterior"]))
    adata.uns.setdefault(_keys.UNS, {})["denoising"] = found.to_json() | {"seed": seed}
    return found


def _loss(denoiser: Denoiser, level: Level, posterior: bool, held_out: sp.csr_matrix) -> float:
    """Poisson loss of the held-out counts, in nats per cell."""
    cells = denoiser.cells
    seen = np.asarray(cells.take(np.arange(cells.n_cells)).sum(axis=1)).reshape(-1, 1)
    depth = seen * ((1 - SEEN) / SEEN)  # expected number of held-out counts
    total = 0.0
    for some in denoiser.shares(level, posterior, own_batch=True):
        observed = held_out[some.chosen].toarray()
        total += poisson_loss(observed, some.share * depth[some.chosen]) * observed.size
    return total / held_out.shape[0]


def _fit_again(model: SCPROTO, seen: sp.csr_matrix, adata: AnnData, train_kwargs: dict[str, Any]) -> SCPROTO:
    """Train a model with the same settings on the seen counts only, without genes that no longer vary."""
    from ..pp import prepare

    obs = pd.DataFrame({"batch": model.reader.batch_of(adata)}, index=adata.obs_names)
    again = AnnData(seen, obs, pd.DataFrame(index=list(model.reader.genes)))
    prepared: dict[str, Any] = _keys.record_of(adata).get("prepare", {})
    settings: Any = {name: int(prepared[name]) for name in ("n_pcs", "n_neighbors", "seed") if name in prepared}
    prepare(again, "batch", n_top_genes=again.n_vars, **settings)
    type(model).setup_anndata(again)
    refitted = type(model)(again, **model.init_params_)
    refitted.train(**({"enable_progress_bar": False} | train_kwargs))
    return refitted
