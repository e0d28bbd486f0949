"""Signs of a good or a bad fit, without labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import special

from .. import _keys
from .._arguments import check_seed
from .._errors import InputError
from ..metrics import contingency, mixing_entropy
from ..metrics.mixing import RARE, apart_from_partner, batch_disagreement, structure_kept
from .stability import recorded

LEAST_KEPT = 0.85
"""Share of the structure kept; below it, metacells lump together what a batch separates."""

MOST_DISAGREEMENT = 0.15
"""Disagreement of the batches; above it, metacells hold different populations from different batches."""

MOST_APART = 0.25
"""Share of the partners that sit in metacells of other batches; above it, the batches are mixed too little."""

FEW_CELLS = 10
"""Number of cells below which a metacell is doubtful."""

DISSOLVED = 0.5
"""Overlap with the metacells of other seeds; below it, a metacell counts as dissolved (Hennig 2007)."""

MAX_CELLS = 20_000
"""Maximum number of cells for structure and partners, unless there are many batches. Their costs grow with the square
of the number of cells per batch."""

CELLS_PER_BATCH = 500
"""Mean number of cells drawn per batch if there are many batches: with fewer, types have too few cells per batch."""


@dataclass(frozen=True)
class Check:
    """Signs of a good or a bad fit; ``str()`` puts them into words.

    Attributes
    ----------
    n_cells, n_batches
        Number of cells and of batches.
    n_metacells, n_used
        Number of metacells of the level, and of those that have cells.
    structure_kept
        Share of the structure within the batches that the metacells keep; low values mean over-mixing. See
        :func:`scproto.metrics.mixing.structure_kept`.
    disagreement
        Disagreement of the batches about the metacells; high values mean over-mixing. See
        :func:`scproto.metrics.mixing.batch_disagreement`.
    apart
        Share of a cell's partners in other batches whose metacells hold other batches than its own, averaged over the
        cells that have partners (0 if none has); high values mean under-mixing. See
        :func:`scproto.metrics.mixing.apart_from_partner`.
    entropy
        Quartiles of the batch entropy of the metacells.
    n_outliers
        Number of cells far from every prototype.
    doubtful
        Metacells to look at, one row each. Its columns are the reasons, as booleans: ``few_cells`` (fewer than
        10), ``low_confidence`` (less than half the median), ``one_batch`` (at least 95 % of the metacell, with batches
        weighted to the same size, if chance does not explain it), ``outliers`` (at least a fifth of its cells),
        ``batches_disagree`` (by more than half the variance between metacells) and ``unstable`` (less than half the
        median overlap with the metacells of other seeds).
    stability
        What :func:`scproto.tl.stability` recorded, with ``overlap`` as a series by metacell; empty without it. It
        changes neither :attr:`over_mixed` nor :attr:`under_mixed`.
    """

    n_cells: int
    n_batches: int
    n_metacells: int
    n_used: int
    structure_kept: float
    disagreement: float
    apart: float
    entropy: tuple[float, float, float]
    n_outliers: int
    doubtful: pd.DataFrame
    stability: Mapping[str, Any] = field(default_factory=dict)

    @property
    def over_mixed(self) -> bool:
        """Whether metacells hold populations that differ within the batches."""
        return self.structure_kept < LEAST_KEPT or self.disagreement > MOST_DISAGREEMENT

    @property
    def under_mixed(self) -> bool:
        """Whether cells of one population sit in metacells of their own batch."""
        return self.apart > MOST_APART

    @property
    def sentences(self) -> list[str]:
        """The verdict, with one sentence per sign that also says what to do about it."""
        said = [self._use(), self._structure()]
        if self.n_batches > 1:
            said += [self._agreement(), self._mixing()]
        if self.stability:
            said.append(self._stability())
        return [*said, self._doubts(), self._outliers()]

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    def to_json(self) -> dict[str, Any]:
        """Numbers and sentences for a JSON file."""
        return {
            "over_mixed": self.over_mixed,
            "under_mixed": self.under_mixed,
            "n_used": self.n_used,
            "structure_kept": self.structure_kept,
            "disagreement": self.disagreement,
            "apart": self.apart,
            "entropy_quartiles": list(self.entropy),
            "n_outliers": self.n_outliers,
            "doubtful": {str(name): list(row.index[row]) for name, row in self.doubtful.iterrows()},
            "sentences": self.sentences,
        } | ({"stability": self._stability_to_json()} if self.stability else {})

    def _use(self) -> str:
        if self.n_used == self.n_metacells:
            return f"All {self.n_metacells} metacells have cells."
        text = f"{self.n_used} of {self.n_metacells} metacells have cells"
        if self.n_used >= 0.9 * self.n_metacells:
            return f"{text}, which is enough."
        return f"Only {text}: use fewer prototypes (n_prototypes)."

    def _structure(self) -> str:
        kept = f"The metacells keep {min(self.structure_kept, 1):.0%} of the structure that k-means finds in each batch"
        if self.structure_kept >= LEAST_KEPT:
            return f"{kept}, which is enough (at least {LEAST_KEPT:.0%})."
        return (
            f"{kept}, which is less than {LEAST_KEPT:.0%}: they lump different cells together; train longer "
            "(max_steps), or align less (n_alignment=1 or 0; the default is 10)."
        )

    def _agreement(self) -> str:
        text = f"The batches disagree on {self.disagreement:.0%} of the differences between metacells"
        if self.disagreement <= MOST_DISAGREEMENT:
            return f"{text}, which is little (at most {MOST_DISAGREEMENT:.0%}): no sign of over-mixing."
        return (
            f"{text}, which is more than {MOST_DISAGREEMENT:.0%}: they are over-mixed, and some metacells hold "
            "different populations from different batches; align less (n_alignment=1 or 0; the default is 10), and "
            "check whether the batches share cell types at all."
        )

    def _mixing(self) -> str:
        text = (
            f"On average, {self.apart:.0%} of the partners that a cell has in other batches sit in metacells that hold "
            f"other batches than its own, and the median batch entropy of the metacells is {self.entropy[1]:.2f}"
        )
        if self.apart <= MOST_APART:
            return f"{text}: no sign of under-mixing (at most {MOST_APART:.0%} of the partners)."
        return (
            f"{text}: the batches are under-mixed (more than {MOST_APART:.0%} of the partners), and cells of one type "
            "sit in metacells of their own batch; check the batch key, train longer (max_steps), or use fewer "
            "prototypes (n_prototypes)."
        )

    def _stability_to_json(self) -> dict[str, Any]:
        found = self.stability
        return {
            "agreement": float(found["agreement"]),
            "n_others": int(found["n_others"]),
            "trained": bool(found["trained"]),
            "n_dissolved": int((found["overlap"] < DISSOLVED).sum()),
        }

    def _stability(self) -> str:
        trained, overlap = self.stability["trained"], self.stability["overlap"]
        text = (
            f"With another seed{'' if trained else ' of the last k-means'}, {(overlap < DISSOLVED).sum()} of "
            f"{len(overlap)} metacells would not come back (their best match has a Jaccard overlap below {DISSOLVED}, "
            f"on average over {self.stability['n_others']}), and the assignments agree by "
            f"{self.stability['agreement']:.2f} (adjusted mutual information; 1: the same)"
        )
        more = "" if trained else " Another training changes more: scproto fit --seeds 3 measures that."
        return f"{text}; coarser levels are more stable.{more}"

    def _doubts(self) -> str:
        if self.doubtful.empty:
            return "No metacell is doubtful."
        words = {
            "few_cells": f"{{}} with fewer than {FEW_CELLS} cells",
            "low_confidence": "{} with low confidence",
            "one_batch": "{} with only one batch",
            "outliers": "{} with many outliers",
            "batches_disagree": "{} on which the batches disagree",
            "unstable": "{} that are unstable",
        }
        counts = self.doubtful.sum()
        reasons = ", ".join(text.format(counts[name]) for name, text in words.items() if counts[name])
        return (
            f"{len(self.doubtful)} of {self.n_used} metacells are doubtful ({reasons}): look at them before you rely "
            f"on them, {self.doubtful.index[0]} first."
        )

    def _outliers(self) -> str:
        if not self.n_outliers:
            return "No cell lies far from every prototype."
        who, lie = ("1 cell", "lies") if self.n_outliers == 1 else (f"{self.n_outliers:,} cells", "lie")
        return (
            f"{who} ({self.n_outliers / self.n_cells:.1%}) {lie} far from every prototype "
            f'(obs["{_keys.OUTLIER}"]): doublets, low-quality cells, or a population that needs more prototypes.'
        )


def check(adata: AnnData, *, seed: int = 0) -> Check:
    """Look for over-mixing, under-mixing and doubtful metacells, without labels.

    The metacells are compared with the PCA before integration, which holds the differences within each batch as they
    were measured.

    Parameters
    ----------
    adata
        Cells after :func:`scproto.pp.prepare` and :func:`scproto.tl.assign_metacells`, at any level. Nothing is
        changed.
    seed
        Seed of k-means, and of the choice of cells. Structure and partners are judged on at most 20,000 cells, or
        500 per batch if that is more; everything else is judged on all cells.

    Returns
    -------
    check : Check
        The signs as numbers; ``print`` it for a verdict in words.

    Raises
    ------
    InputError
        If the cells were not prepared or not assigned.
    """
    seed = check_seed(seed)
    if _keys.METACELL not in adata.obs:
        raise InputError("The cells have no metacells to check: run scproto.tl.assign_metacells(adata, model) first.")
    if _keys.PCA not in adata.obsm:
        raise InputError(f'The cells have no obsm["{_keys.PCA}"]: run scproto.pp.prepare(adata, batch_key=...) first.')
    points: NDArray[np.float32] = np.asarray(adata.obsm[_keys.PCA])
    metacell, names = pd.factorize(adata.obs[_keys.METACELL], sort=True)
    batch = pd.factorize(adata.obs[_keys.BATCH])[0]
    by_batch = contingency(metacell, batch)
    stability = recorded(adata)
    n_drawn = max(MAX_CELLS, CELLS_PER_BATCH * by_batch.shape[1])
    some = np.sort(np.random.default_rng(seed).permutation(len(batch))[:n_drawn])
    disagreement = batch_disagreement(points, batch, metacell)
    apart = apart_from_partner(points[some], batch[some], metacell[some], counts=by_batch)
    quartiles = np.quantile(mixing_entropy(by_batch), [0.25, 0.5, 0.75])
    return Check(
        n_cells=adata.n_obs,
        n_batches=by_batch.shape[1],
        n_metacells=int(adata.uns[_keys.UNS]["n_metacells"]),
        n_used=len(names),
        structure_kept=structure_kept(points[some], batch[some], metacell[some], seed=seed),
        disagreement=disagreement.total,
        apart=float(np.nan_to_num(apart).sum() / max(1, np.isfinite(apart).sum())),
        entropy=(float(quartiles[0]), float(quartiles[1]), float(quartiles[2])),
        n_outliers=int(adata.obs[_keys.OUTLIER].sum()),
        doubtful=_doubtful(adata.obs, metacell, names, by_batch, disagreement.of_metacell, stability.get("overlap")),
        stability=stability,
    )


def _doubtful(
    obs: pd.DataFrame,
    metacell: NDArray[np.int64],
    names: pd.Index,
    by_batch: NDArray[np.int64],
    disagreement: NDArray[np.float64],
    overlap: pd.Series[float] | None,
) -> pd.DataFrame:
    """Metacells with at least one reason for doubt, those with the most reasons first."""
    means = obs[[_keys.CONFIDENCE, _keys.OUTLIER]].astype(float).groupby(metacell).mean()
    share, size = by_batch / by_batch.sum(axis=0), by_batch.sum(axis=1)
    main = share.argmax(axis=1)
    others = size - by_batch[np.arange(len(size)), main]
    chance = size * (1 - by_batch.sum(axis=0)[main] / by_batch.sum())  # expected cells of the other batches
    reasons = pd.DataFrame(
        {
            "few_cells": size < FEW_CELLS,
            "low_confidence": (means[_keys.CONFIDENCE] < 0.5 * means[_keys.CONFIDENCE].median()).to_numpy(),
            "one_batch": (share.max(axis=1) >= 0.95 * share.sum(axis=1)) & (special.pdtr(others, chance) < RARE),
            "outliers": (means[_keys.OUTLIER] >= 0.2).to_numpy(),
            "batches_disagree": np.nan_to_num(disagreement) > 0.5,
            "unstable": False if overlap is None else (overlap < 0.5 * overlap.median()).to_numpy(),
        },
        index=pd.Index(names.astype(str)),
    )
    number = reasons.sum(axis=1)
    return reasons.loc[number[number > 0].sort_values(ascending=False, kind="stable").index]
