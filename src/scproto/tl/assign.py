"""Write the embedding and the metacell of each cell into an AnnData object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from .. import _keys

if TYPE_CHECKING:
    from anndata import AnnData

    from ..metacells import Level
    from ..model import SCPROTO
    from ..model.placement import Placement


def assign_metacells(adata: AnnData, model: SCPROTO, n: int | None = None, *, omicverse_keys: bool = False) -> None:
    """Give each cell its metacell.

    Every cell gets a metacell; doubtful cells are flagged, not dropped. The function writes into ``adata``:

    - ``obsm["X_scproto"]``: integrated embedding; Euclidean distances are those of decoded log expression
    - ``obsm["X_scproto_sphere"]``: unit vectors, whose cosine similarities to the prototypes determine the metacells
    - ``varm["scproto_axes"]``: weight of each gene in each axis of the embedding; 0 for genes outside the model
    - ``obs["metacell"]``: name of the metacell
    - ``obs["metacell_confidence"]``: probability of that metacell, in [0, 1]
    - ``obs["metacell_distance"]``: cosine distance to the nearest prototype, whatever the level
    - ``obs["metacell_outlier"]``: whether that distance is more than five median absolute deviations above the median
    - ``obsm["metacell_probability"]``: probabilities of the five most probable metacells, sparse
    - ``uns["scproto"]["model"]``: the model's settings and seed
    - ``uns["scproto"]["n_metacells"]``: the level

    It replaces the results of an earlier call, and drops those of :func:`scproto.tl.stability` and
    :func:`scproto.tl.compare`. If you have a column
    with one of these names, it keeps that column under another name, such as ``obs["metacell_input"]``, and logs a
    warning.

    Parameters
    ----------
    adata
        Cells of batches that the model knows. Changed in place.
    model
        A trained model.
    n
        Number of metacells, from 1 to the number of prototypes: a level of the tree of the prototypes, as in
        :meth:`scproto.SCPROTO.get_metacells`. By default every prototype is a metacell.
    omicverse_keys
        Whether to write metacell and confidence a second time under the names that omicverse reads,
        ``obs["metacell_id"]`` and ``obs["metacell_conf"]``.

    Raises
    ------
    InputError
        If the model is not trained, the cells lack its genes or come from an unknown batch, or the tree has no level
        with `n` metacells.
    """
    placement = model.place(adata)
    write_assignment(adata, model, placement, placement.level(n), omicverse_keys=omicverse_keys)
    adata.varm[_keys.AXES] = model.loadings_of(adata.var_names)


def write_assignment(
    adata: AnnData, model: SCPROTO, placement: Placement, level: Level, *, omicverse_keys: bool = False
) -> None:
    """Write the embedding and the metacells of cells that were placed before."""
    assignment = placement.assign(level)
    _keys.set_aside(adata, omicverse=omicverse_keys)
    adata.obsm[_keys.LATENT] = placement.embedding.copy()
    adata.obsm[_keys.SPHERE] = placement.unit.copy()
    names = pd.Index(level.names, dtype=object)
    adata.obs[_keys.METACELL] = pd.Categorical.from_codes(assignment.metacell, names).remove_unused_categories()
    adata.obs[_keys.CONFIDENCE] = assignment.confidence
    adata.obs[_keys.DISTANCE] = assignment.distance
    adata.obs[_keys.OUTLIER] = assignment.outlier
    if omicverse_keys:
        adata.obs[_keys.OMICVERSE_METACELL] = adata.obs[_keys.METACELL]
        adata.obs[_keys.OMICVERSE_CONFIDENCE] = adata.obs[_keys.CONFIDENCE]
    adata.obsm[_keys.PROBABILITY] = assignment.probability.copy()
    settings = {"model": dict(model.init_params_), "n_metacells": len(level.names)}
    adata.uns[_keys.UNS] = {**_keys.record_of(adata), **settings}
    for of_old_metacells in (_keys.STABILITY, _keys.COMPARE):
        adata.uns[_keys.UNS].pop(of_old_metacells, None)
