"""Samples of a cohort as replicates: which cells are of which sample, and the design of a comparison."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._errors import InputError
from .._labels import as_text

logger = logging.getLogger(__name__)

FEW_SAMPLES = 3
"""Number of samples per condition below which a comparison comes with a notice."""


@dataclass(frozen=True)
class Cohort:
    """The replicates of a comparison, and the conditions to compare.

    Attributes
    ----------
    sample
        Replicate of each cell, ``(n_cells,)``.
    names
        Names of the replicates, ``(n_samples,)``.
    condition
        Condition of each replicate, ``(n_samples,)``; the first category is the reference.
    block
        Block of each replicate, ``(n_samples,)``; None without blocks.
    """

    sample: NDArray[np.intp]
    names: list[str]
    condition: pd.Categorical
    block: pd.Categorical | None

    @property
    def reference(self) -> str:
        """The condition that the others are compared with."""
        return str(self.condition.categories[0])

    @property
    def others(self) -> list[str]:
        """The other conditions."""
        return [str(name) for name in self.condition.categories[1:]]

    @property
    def design(self) -> NDArray[np.float64]:
        """Design matrix: a constant, one column per other condition, one per block but the first."""
        parts = [np.ones((len(self.names), 1)), np.eye(len(self.others) + 1)[self.condition.codes][:, 1:]]
        if self.block is not None:
            parts.append(np.eye(len(self.block.categories))[self.block.codes][:, 1:])
        return np.hstack(parts)

    @property
    def n_samples(self) -> dict[str, int]:
        """Number of replicates of each condition."""
        return {str(name): int(n) for name, n in self.condition.value_counts().items()}


def read_cohort(
    obs: pd.DataFrame,
    sample_key: str,
    condition_key: str,
    *,
    reference: str | None = None,
    donor_key: str | None = None,
    block_key: str | None = None,
) -> Cohort:
    """Find the replicates and their conditions in a table of cells, or of pseudobulk samples.

    Parameters
    ----------
    obs
        One row per cell.
    sample_key, condition_key, reference, donor_key, block_key
        As in :func:`scproto.tl.compare`.

    Returns
    -------
    cohort : Cohort
        At least two replicates per condition, and a design of full rank that leaves degrees of freedom.

    Raises
    ------
    InputError
        If the columns are missing or incomplete, or do not allow the comparison.
    """
    columns = {
        key: _column(obs, key) for key in dict.fromkeys((sample_key, condition_key, donor_key, block_key)) if key
    }
    condition = _conditions(columns[condition_key], condition_key, reference)
    replicate, replicate_key = columns[sample_key], sample_key
    if donor_key is not None:
        _check_nested(replicate, columns[donor_key], sample_key, donor_key)
        replicate, replicate_key = _join(columns[donor_key], condition), donor_key
    else:
        _check_nested(replicate, condition, sample_key, condition_key)
    sample, first = _first_cells(replicate)
    condition = condition[first]
    block, named = None, block_key
    if donor_key is not None and not pd.Index(columns[donor_key][first]).is_unique:
        block, named = columns[donor_key][first], donor_key
    elif block_key is not None:
        _check_nested(replicate, columns[block_key], replicate_key, block_key)
        block = columns[block_key][first]
    cohort = Cohort(sample, [str(name) for name in replicate.categories], condition, block)
    _check_design(cohort, sample_key, condition_key, named)
    return cohort


def _column(obs: pd.DataFrame, key: str) -> pd.Categorical:
    """Values of a column as text; every cell must have one."""
    if key not in obs:
        raise InputError(f"obs has no column {key!r}: choose one of {', '.join(map(str, obs.columns))}.")
    values = as_text(obs[key])
    if missing := int((values.codes < 0).sum()):
        raise InputError(
            f"{missing:,} of {len(values):,} rows have no value in obs[{key!r}]: fill it in, or leave them out with "
            f"adata[adata.obs[{key!r}].notna()]."
        )
    return values


def _conditions(values: pd.Categorical, key: str, reference: str | None) -> pd.Categorical:
    """Conditions with the reference first."""
    levels = [str(name) for name in values.categories]
    if len(levels) < 2:
        found = f"one value, {levels[0]!r}" if levels else "no values"
        raise InputError(f"obs[{key!r}] has {found}: a comparison needs at least two conditions.")
    if reference is None and len(levels) > 2:
        raise InputError(
            f"obs[{key!r}] has {len(levels)} values ({', '.join(levels)}): name the one to compare the others with "
            "(reference, or --reference)."
        )
    if reference is not None and str(reference) not in levels:
        raise InputError(f"obs[{key!r}] has no value {str(reference)!r} for the reference; it has {', '.join(levels)}.")
    first = levels[0] if reference is None else str(reference)
    return values.reorder_categories([first, *(name for name in levels if name != first)])


def _join(donor: pd.Categorical, condition: pd.Categorical) -> pd.Categorical:
    """Donor and condition as one label per cell, in the order of both."""
    code = donor.codes.astype(np.int64) * len(condition.categories) + condition.codes
    used, place = np.unique(code, return_inverse=True)
    pairs = [divmod(int(i), len(condition.categories)) for i in used]
    names = [f"{donor.categories[i]} | {condition.categories[j]}" for i, j in pairs]
    return pd.Categorical.from_codes(place, pd.Index(names, dtype=object))


def _check_nested(inner: pd.Categorical, outer: pd.Categorical, inner_key: str, outer_key: str) -> None:
    """Refuse a sample with cells of two conditions, donors or blocks."""
    pairs = np.unique(np.stack([inner.codes, outer.codes]), axis=1)
    several = np.flatnonzero(np.bincount(pairs[0]) > 1)
    if len(several):
        found = ", ".join(str(outer.categories[i]) for i in pairs[1][pairs[0] == several[0]])
        raise InputError(
            f"The sample {str(inner.categories[several[0]])!r} of obs[{inner_key!r}] has several values in "
            f"obs[{outer_key!r}] ({found}): choose a column that tells them apart, or name the donor as donor_key if "
            "donors were sampled in several conditions."
        )


def _first_cells(replicate: pd.Categorical) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Replicate of each cell, and the first cell of each replicate."""
    codes = replicate.codes.astype(np.intp)
    return codes, np.unique(codes, return_index=True)[1]


def _check_design(cohort: Cohort, sample_key: str, condition_key: str, block_key: str | None) -> None:
    """Refuse a comparison without replicates or one that the blocks leave open; give notice of few samples."""
    sizes = cohort.n_samples
    fewest = min(sizes, key=lambda name: sizes[name])
    if sizes[fewest] < 2:
        raise InputError(
            f"The condition {fewest!r} of obs[{condition_key!r}] has one sample of obs[{sample_key!r}]: a comparison "
            "needs at least two samples per condition, because samples are the replicates."
        )
    design = cohort.design
    rank = np.linalg.matrix_rank(design)
    if rank < design.shape[1]:
        raise InputError(
            f"obs[{block_key!r}] and obs[{condition_key!r}] cannot be told apart, because too few blocks have samples "
            "of more than one condition: choose another block."
        )
    if rank == len(design):
        raise InputError(
            f"{len(design)} samples are too few for {rank} conditions and blocks: leave out obs[{block_key!r}]."
        )
    if sizes[fewest] < FEW_SAMPLES:
        logger.warning(
            "The condition %r has %d samples: with fewer than %d per condition, only large changes are found.",
            fewest,
            sizes[fewest],
            FEW_SAMPLES,
        )


def as_frame(cohort: Cohort) -> pd.DataFrame:
    """Columns ``condition`` and, with blocks, ``block``, one row per replicate."""
    columns: dict[str, Any] = {"condition": cohort.condition}
    if cohort.block is not None:
        columns["block"] = cohort.block
    return pd.DataFrame(columns, index=pd.Index(cohort.names, dtype=object))
