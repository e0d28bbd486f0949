"""Genes of the axes of the embedding."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._errors import InputError
from .contrast import categories, check_number, top_genes

ENDS = ("high", "low")


def rank_axis_genes(adata: AnnData, n_genes: int | None = 10) -> pd.DataFrame:
    """Rank the genes of each axis of the embedding, at both ends.

    The coordinate of a cell is the sum of its log expression over the genes, each times its weight, less that of the
    mean cell. A cell at the high end of an axis thus expresses the genes with positive weights more, and those with
    negative weights less, than a cell at the low end.

    Parameters
    ----------
    adata
        Cells after :func:`scproto.tl.assign_metacells`, or metacells from :meth:`scproto.SCPROTO.get_metacells`.
    n_genes
        Number of genes per axis and end; None ranks all genes of the model.

    Returns
    -------
    table : pandas.DataFrame
        One line per axis, end and gene: ``group`` (``axis_1_high``, ``axis_1_low`` and so on), ``axis`` (from 1),
        ``share`` (share of the variance of the embedding along the axis), ``rank`` (from 1), ``names`` and ``weights``.
        Only genes with a weight of the sign of the end are listed. :func:`enrich_prototype_genes` takes the table.

    Raises
    ------
    InputError
        If there are no axes, or ``n_genes`` is out of range.

    Examples
    --------
    >>> axes = scproto.tl.rank_axis_genes(adata)
    >>> scproto.tl.enrich_prototype_genes(axes, gene_sets, model.gene_names)
    """
    check_number("n_genes", n_genes, none=True)
    if _keys.AXES not in adata.varm or _keys.LATENT not in adata.obsm:
        raise InputError(
            f'There is no varm["{_keys.AXES}"] with obsm["{_keys.LATENT}"]: take cells after '
            "scproto.tl.assign_metacells(adata, model), or metacells from model.get_metacells()."
        )
    weights = np.asarray(adata.varm[_keys.AXES], dtype=np.float64).T  # (n_axes, n_genes)
    variance = np.asarray(adata.obsm[_keys.LATENT], dtype=np.float64).var(axis=0)
    share = variance / max(variance.sum(), np.finfo(float).tiny)
    both = np.repeat(weights, 2, axis=0)
    score = both * np.tile([1.0, -1.0], len(weights))[:, None]
    score[score <= 0] = np.nan
    axis = np.repeat(np.arange(1, len(weights) + 1), 2)
    groups = [f"axis_{number}_{end}" for number in range(1, len(weights) + 1) for end in ENDS]
    rows = pd.DataFrame({"group": groups, "axis": axis, "share": np.repeat(share, 2)})
    return categories(top_genes(score, adata.var_names, rows, {"weights": both}, n_genes), ["group"])
