"""Expression of genes by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import InputError


def matrix(data: AnnData, layer: str | None, who: str) -> Any:
    """``X``, or a layer; ``who`` names the data in the message if it is not there."""
    if layer is None:
        return data.X
    if layer not in data.layers:
        names = ", ".join(name for name in data.layers if name is not None)  # None is X, from anndata 0.13 on
        raise InputError(f'There is no layer "{layer}" in {who}, but {names or "none at all"}.')
    return data.layers[layer]


def places(data: AnnData, genes: Sequence[str], who: str) -> NDArray[np.intp]:
    """Columns of some genes, ``(n_genes,)``."""
    if not data.var_names.is_unique:
        raise InputError(f"Genes of {who} have the same name: call var_names_make_unique() on them.")
    found = data.var_names.get_indexer(list(genes))
    if (found < 0).any():
        raise InputError(
            f'There is no gene "{genes[int(np.argmin(found))]}" in {who}: take names from var_names, such as '
            f'"{data.var_names[0]}".'
        )
    return found


def expression(data: AnnData, genes: Sequence[str], layer: str | None, who: str) -> NDArray[np.float64]:
    """Values of some genes in ``X`` or a layer, ``(n_obs, n_genes)``, in the order asked for."""
    matrix(data, layer, who)
    columns, back = np.unique(places(data, genes, who), return_inverse=True)  # files are read in order
    values = matrix(data[:, columns], layer, who)
    dense = values.toarray() if sp.issparse(values) else np.asarray(values)
    return dense.astype(np.float64)[:, back]
