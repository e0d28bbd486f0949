"""Expression of genes, looked up by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import InputError


def matrix(data: AnnData, layer: str | None, who: str) -> Any:
    """``X`` or a layer. If the layer is missing, the message calls the data ``who``."""
    if layer is None:
        return data.X
    if layer not in data.layers:
        names = ", ".join(name for name in data.layers if name is not None)  # None is X, from anndata 0.13 on
        mend = f"choose one of {names}" if names else "they have none"
        raise InputError(f'There is no layer "{layer}" in {who}: {mend}.')
    return data.layers[layer]


def places(data: AnnData, genes: Sequence[str], who: str) -> NDArray[np.intp]:
    """Column of each gene, ``(n_genes,)``."""
    if not data.var_names.is_unique:
        raise InputError(f"Some genes of {who} have the same name: call var_names_make_unique() on {who} first.")
    found = data.var_names.get_indexer(list(genes))
    if (found < 0).any():
        raise InputError(
            f'There is no gene "{genes[int(np.argmin(found))]}" in {who}: take names from var_names, such as '
            f'"{data.var_names[0]}".'
        )
    return found


def expression(data: AnnData, genes: Sequence[str], layer: str | None, who: str) -> NDArray[np.float64]:
    """Values of the given genes in ``X`` or a layer, in the given order, ``(n_obs, n_genes)``."""
    matrix(data, layer, who)
    columns, back = np.unique(places(data, genes, who), return_inverse=True)  # files must be read in order
    values = matrix(data[:, columns], layer, who)
    dense = values.toarray() if sp.issparse(values) else np.asarray(values)
    return dense.astype(np.float64)[:, back]
