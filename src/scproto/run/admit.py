"""Prepare the cells of a run before it trains: mend names, check counts, and try out the files."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

from .. import _keys
from .._arguments import check_seed
from ..inputs import Counts, check_adata, choose_n_prototypes, join_batches
from .rehearse import rehearse
from .settings import Settings
from .storable import make_storable

logger = logging.getLogger(__name__)

REGISTRATION = "_scvi"
"""Start of the names under which scvi-tools registers cells: random ids and copies."""


@dataclass(frozen=True)
class Admitted:
    """Cells that can be fitted and written.

    Attributes
    ----------
    adata
        The cells.
    settings
        Settings of the run, with the current names of the keys.
    counts
        Counts of the cells, read and checked.
    registration
        Entries that other models of scvi-tools left in the cells, by place and key.
    """

    adata: AnnData
    settings: Settings
    counts: Counts
    registration: dict[str, dict[str, Any]]

    def restore_registration(self) -> None:
        """Remove what the model of this run has registered, and put back what was there before."""
        for place, before in self.registration.items():
            table = getattr(self.adata, place)
            for key in _registered(table):
                del table[key]
            for key, value in before.items():
                table[key] = value


def admit(adata: AnnData, settings: Settings, folder: Path) -> Admitted:
    """Get the cells ready for a run, or refuse them in one sentence.

    Parameters
    ----------
    adata
        The cells as they were read. Names that no file can hold are changed, columns that scproto is going to write are
        set aside, and results of an earlier run are removed. Each change is logged.
    settings
        Settings of the run.
    folder
        Folder in which the run writes.

    Returns
    -------
    admitted : Admitted
        The cells, their counts, and the settings with the names that the keys have now.

    Raises
    ------
    InputError
        If the cells cannot be fitted, or their results could not be written.
    """
    settings = replace(settings, seed=check_seed(settings.seed))
    asked = (*settings.batch_key, *settings.label_keys)
    names = _forget_earlier(adata, asked)
    renamed = make_storable(adata, written=_keys.WRITTEN_OBS)
    for change in renamed:
        logger.warning(str(change))
    names |= {change.old: str(change.new) for change in renamed if change.where == "adata.obs"} | _keys.set_aside(adata)
    layers = {change.old: change.new for change in renamed if change.where == "adata.layers"}
    settings = replace(
        settings,
        batch_key=tuple(dict.fromkeys(names.get(key, key) for key in settings.batch_key)),
        label_keys=tuple(dict.fromkeys(names.get(key, key) for key in settings.label_keys)),
        layer=layers.get(settings.layer, settings.layer),
    )
    counts = check_adata(
        adata,
        batch_key=settings.batch_key,
        layer=settings.layer,
        label_keys=settings.label_keys,
        n_prototypes=settings.n_prototypes,
        rounding=settings.seed if settings.round_counts else None,
    )
    n_metacells = choose_n_prototypes(settings.n_prototypes, adata.n_obs)
    rehearse(adata, _metacell_columns(adata, settings), n_metacells, folder)
    registration = {place: _registered(getattr(adata, place)) for place in ("uns", "obs", "obsm")}
    return Admitted(adata, settings, counts, registration)


def _forget_earlier(adata: AnnData, asked: tuple[str, ...]) -> dict[str, str]:
    """Remove the outdated results of an earlier run; return the new names of columns that this run asks for."""
    if "n_metacells" not in _keys.record_of(adata):
        return {}
    logger.info("The cells hold results of an earlier run, which are replaced.")
    names = {}
    for key in _keys.WRITTEN_OBS:
        if key in asked:
            names[key] = _keys.free_name(key, adata.obs, "_input")
            adata.obs[names[key]] = adata.obs[key]
        if key in adata.obs:
            del adata.obs[key]
    shown, own = (adata.obsm.get(key) for key in (_keys.SHOWN_UMAP, _keys.UMAP))
    if shown is not None and own is not None and np.array_equal(shown, own):
        del adata.obsm[_keys.SHOWN_UMAP]
    for key in (*_keys.WRITTEN_OBSM, _keys.UMAP):
        if key in adata.obsm:
            del adata.obsm[key]
    del adata.uns[_keys.UNS]
    return names


def _metacell_columns(adata: AnnData, settings: Settings) -> list[str]:
    """Names of the columns that the table of metacells is going to have."""
    batches = list(join_batches(adata.obs, settings.batch_key).categories)
    labels = _keys.label_columns(settings.label_keys, batches).values()
    shares = [_keys.SHARE + part for part in _keys.key_parts(batches).values()]
    return [*_keys.SIZES, *shares, *labels, *map(_keys.share_of, labels)]


def _registered(table: Any) -> dict[str, Any]:
    return {key: table[key] for key in table if str(key).startswith(REGISTRATION)}
