"""Read the counts of an AnnData object, wherever they are and however they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._errors import InputError
from ..counts import Kind, Values, canonical, examine, kind_of, round_near, round_stochastically

FEATURE_TYPES = "feature_types"
"""Column of ``var`` in which 10x and muon store the type of a feature."""

NO_GENES = ("Antibody Capture", "Antigen Capture", "CRISPR Guide Capture", "Custom", "Multiplexing Capture", "Peaks")
"""Types of features that are not genes."""


@dataclass(frozen=True)
class Counts:
    """Counts of genes: whole numbers in canonical form.

    Attributes
    ----------
    matrix
        Counts, ``(n_cells, n_genes)``; see :func:`scproto.counts.canonical`.
    genes
        Mask of the features that are genes, ``(n_vars,)``.
    values
        Summary of the values.
    notices
        One sentence for each thing that was mended.
    """

    matrix: sp.csr_matrix
    genes: NDArray[np.bool_]
    values: Values
    notices: tuple[str, ...] = ()


def read_counts(adata: AnnData, layer: str | None = None, *, rounding: int | None = None) -> Counts:
    """Read the counts of the genes in canonical form.

    Parameters
    ----------
    adata
        Cells, in memory or backed; they stay unchanged.
    layer
        Layer with the counts; None for ``X``.
    rounding
        Seed for rounding fractional counts (:func:`scproto.counts.round_stochastically`); None to refuse them.

    Returns
    -------
    counts : Counts
        Counts of the genes, and what was mended.

    Raises
    ------
    InputError
        If the matrix holds no counts. The sentence says what was found and how to mend it.
    """
    where = "adata.X" if layer is None else f"adata.layers[{layer!r}]"
    x = matrix_of(adata, layer)
    if x is None:
        raise InputError(f"adata has no X: {_elsewhere(adata, layer) or _BEFORE}.")
    matrix, notices = canonical(x, where), []
    genes = is_gene(adata)
    if not genes.all():
        matrix = _of_genes(matrix, genes, where)
        others = ", ".join(sorted(set(adata.var[FEATURE_TYPES][~genes].astype(str))))
        notices.append(f"{int((~genes).sum()):,} of {len(genes):,} features are not genes ({others}) and are left out.")
    values = examine(matrix)
    kind = kind_of(matrix, values)
    if kind is Kind.NEARLY:
        matrix = round_near(matrix)
        notices.append(f"{where} holds whole numbers with small errors, so they are rounded.")
    elif kind is Kind.FRACTIONAL and rounding is not None:
        matrix = round_stochastically(matrix, rounding)
        notices.append(f"The fractional counts of {where} are rounded at random, with the seed {rounding}.")
    elif kind is not Kind.COUNTS:
        raise InputError(_refusal(kind, where, values, _elsewhere(adata, layer)))
    return Counts(matrix, genes, values if kind is Kind.COUNTS else examine(matrix), tuple(notices))


def read_prepared(adata: AnnData, layer: str | None = None) -> Counts:
    """Read the counts as :func:`scproto.pp.prepare` did, with its rounding and, unless you name another, its layer."""
    prepared = _keys.record_of(adata).get("prepare", {})
    if layer is None and prepared.get("layer", "X") != "X":
        layer = str(prepared["layer"])
    return read_counts(adata, layer, rounding=int(prepared["seed"]) if prepared.get("round_counts") else None)


def matrix_of(adata: AnnData, layer: str | None) -> Any:
    """Return ``X`` or a layer as it is; None if there is no ``X``."""
    return adata.X if layer is None else adata.layers[layer]


def layers_of(adata: AnnData) -> list[str]:
    """Return the names of the layers, without None, which stands for ``X`` from anndata 0.13 on."""
    return [name for name in adata.layers if name is not None]


def is_gene(adata: AnnData) -> NDArray[np.bool_]:
    """Return a mask of the genes, ``(n_vars,)``: all features, unless ``feature_types`` says otherwise."""
    if FEATURE_TYPES not in adata.var:
        return np.ones(adata.n_vars, bool)
    others: NDArray[np.bool_] = adata.var[FEATURE_TYPES].isin(NO_GENES).to_numpy(bool)
    return ~others


def counts_problem(kind: Kind, where: str, values: Values) -> str | None:
    """Say in one clause why the values are not counts; return None if they are."""
    low, high = values.lowest, values.highest
    return {
        Kind.MISSING: f"{where} holds missing or infinite values (NaN or inf)",
        Kind.NEGATIVE: f"{where} holds negative values (the lowest is {low:.4g}), as scaling leaves them",
        Kind.HUGE: f"{where} holds values up to {high:.4g}, too large for counts of molecules or reads",
        Kind.LOGS: f"{where} looks log-normalised (it holds fractions and its largest value is {high:.4g})",
        Kind.SCALED: f"{where} looks normalised (it holds fractions, and its cells are scaled to a common depth)",
        Kind.FRACTIONAL: f"{where} holds fractional counts, as correction and EM leave them (SoupX, alevin, RSEM)",
    }.get(kind)


_BEFORE = "give the matrix from before normalisation, in adata.X or as a layer"

_ROUND = "round them with round_counts=True (--round-counts), which keeps the mean of each gene"


def _refusal(kind: Kind, where: str, values: Values, elsewhere: str | None) -> str:
    mend = _ROUND if kind is Kind.FRACTIONAL else _BEFORE
    if elsewhere is not None:
        mend = f"{elsewhere}, or {_ROUND}" if kind is Kind.FRACTIONAL else elsewhere
    needed = "whole" if kind is Kind.FRACTIONAL else "raw"
    return f"{counts_problem(kind, where, values)}, but scproto needs {needed} counts: {mend}."


def _of_genes(matrix: sp.csr_matrix, genes: NDArray[np.bool_], where: str) -> sp.csr_matrix:
    if not genes.any():
        raise InputError(f"{where} has no genes, according to adata.var[{FEATURE_TYPES!r}]: give RNA counts.")
    return matrix[:, np.flatnonzero(genes)]


def _elsewhere(adata: AnnData, layer: str | None) -> str | None:
    """Say where the counts are, if another matrix of `adata` holds them."""
    for name in [None, *layers_of(adata)]:
        if name != layer and _holds_counts(matrix_of(adata, name)):
            return (
                f'use layer="{name}", which holds counts' if name else "leave out layer, because adata.X holds counts"
            )
    if adata.raw is not None and _holds_counts(adata.raw.X):
        return "use adata.raw.to_adata() (--raw), which holds counts"
    return None


def _holds_counts(x: Any) -> bool:
    if x is None:
        return False
    try:
        matrix = canonical(x, "")
    except InputError:
        return False
    return kind_of(matrix, examine(matrix)) in (Kind.COUNTS, Kind.NEARLY)
