"""Combine sentences, tables and drawings, and write the report."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._errors import InputError
from .._files import atomic_path
from .._versions import library_versions
from .figures import draw_figures, draw_maps

if TYPE_CHECKING:
    from ..model import SCPROTO

FIGURES = "figures"
RESULTS = ("verdict", _keys.STABILITY, _keys.COMPARE)
"""Entries of ``uns["scproto"]`` that are no settings."""

PARTS = ("report.css", "map.js", "report.js")


def report(adata: AnnData, model: SCPROTO, path: str | Path, *, label_key: str | None = None) -> Path:
    """Write a report of a trained model as one HTML file, with figures beside it.

    The page has the verdict of the check, scores and settings, a map on which readers look up metacells and genes, a
    table of the metacells to sort and export, their tree, and the training curves. It loads nothing from elsewhere, so
    any browser can open it without a network.

    Parameters
    ----------
    adata
        The cells, after :func:`scproto.tl.assign_metacells`. The function adds ``obsm["X_scproto_umap"]`` and, if the
        PCA of :func:`scproto.pp.prepare` is there, ``uns["scproto"]["verdict"]``.
    model
        The trained model.
    path
        The HTML file. Its folder must exist; PNG figures go to ``figures/`` in that folder.
    label_key
        Column of ``adata.obs`` with known labels, for the colours of the map and the purity.

    Returns
    -------
    path : pathlib.Path
        The HTML file.

    Raises
    ------
    InputError
        If a key is missing or the path cannot be written.
    """
    from ..tl.stability import recorded

    _check(adata, Path(path), label_key)
    level = _keys.record_of(adata).get("n_metacells")
    metacells = model.get_metacells(n=level, label_keys=() if label_key is None else (label_key,))
    if found := recorded(adata):
        metacells.obs[_keys.STABILITY] = found["overlap"]
    settings = {name: value for name, value in _keys.record_of(adata).items() if name not in RESULTS}
    if _keys.PCA in adata.obsm:
        from ..tl.check import check

        adata.uns[_keys.UNS]["verdict"] = check(adata).to_json()
    settings |= library_versions()
    return write_report(adata, metacells, model.history, settings, path, label_key=label_key)


def write_report(
    adata: AnnData,
    metacells: AnnData,
    history: Mapping[str, pd.DataFrame] | None,
    settings: Mapping[str, Any],
    path: str | Path,
    *,
    label_key: str | None = None,
    figures: Mapping[str, bytes] | None = None,
    background: NDArray[np.floating] | None = None,
) -> Path:
    """Write the report from the results of a run, without the model.

    Parameters
    ----------
    adata
        The cells, after :func:`scproto.tl.assign_metacells`. If there is a verdict in ``uns["scproto"]["verdict"]``,
        the report shows its sentences.
    metacells
        The metacells from ``model.get_metacells``, ``(n_metacells, n_genes)``. If cells or metacells lack
        ``obsm["X_scproto_umap"]``, it is computed and added to both.
    history
        ``model.history``; without it, the report has no training curves.
    settings
        Settings and versions that the report lists. ``settings["seed"]`` seeds the UMAP.
    path
        The HTML file. Its folder must exist; PNG figures go to ``figures/`` in that folder.
    label_key
        Column with known labels in ``adata.obs`` and, for the table, in ``metacells.obs``.
    figures
        Figures from :func:`scproto.reporting.draw_figures` for `metacells` and `history`; by default they are drawn.
    background
        Places of further cells on the UMAP, such as those of the reference of a query, ``(n_further, 2)``. The map of
        the page shows them in grey.

    Returns
    -------
    path : pathlib.Path
        The HTML file.

    Raises
    ------
    InputError
        If a key is missing or the path cannot be written.
    """
    path = Path(path)
    _check(adata, path, label_key)
    _check_metacells(metacells)
    if not (_keys.UMAP in adata.obsm and _keys.UMAP in metacells.obsm):
        from ..tl.umap import umap

        umap(adata, metacells, seed=int(settings.get("seed", 0)))
    if figures is None:
        figures = draw_figures(metacells, history)
    images = draw_maps(adata, metacells, label_key) | dict(figures)
    page = _render(adata, metacells, history, settings, label_key, background)
    folder = path.parent / FIGURES
    folder.mkdir(exist_ok=True)
    for name, png in images.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(png)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _check(adata: AnnData, path: Path, label_key: str | None) -> None:
    for column in (_keys.METACELL, _keys.BATCH):
        if column not in adata.obs:
            raise InputError(f'obs["{column}"] is missing: run scproto.tl.assign_metacells(adata, model) first.')
    if label_key is not None and label_key not in adata.obs:
        columns = ", ".join(map(str, adata.obs.columns))
        raise InputError(f'There is no label column "{label_key}" in obs: choose one of {columns}.')
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist: create it first or choose another path.")


def _check_metacells(metacells: AnnData) -> None:
    has = {
        f'uns["{_keys.TREE}"]': _keys.TREE in metacells.uns,
        f'var["{_keys.GENES}"]': _keys.GENES in metacells.var,
        'layers["decoded"]': "decoded" in metacells.layers,
    }
    if missing := [name for name, there in has.items() if not there]:
        raise InputError(f"The metacells have no {missing[0]}: take them from model.get_metacells().")
    if len(metacells.uns[_keys.TREE]) != metacells.n_obs - 1:
        raise InputError(
            f"The tree has {len(metacells.uns[_keys.TREE]) + 1} metacells but the table has {metacells.n_obs}: give "
            "all metacells that model.get_metacells() returned."
        )


def _render(
    adata: AnnData,
    metacells: AnnData,
    history: Mapping[str, pd.DataFrame] | None,
    settings: Mapping[str, Any],
    label_key: str | None,
    background: NDArray[np.floating] | None,
) -> str:
    """Return the page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from ..pl.colors import group
    from .drawings import draw_curves, draw_tree
    from .encode import to_script
    from .payload import MAX_CELLS, gather
    from .summary import flatten, summarise
    from .table import axes_in_words, tabulate

    batch = group(adata.obs[_keys.BATCH])
    label = None if label_key is None else group(adata.obs[label_key])
    summary = summarise(adata, label_key, history)
    payload = gather(adata, metacells, batch, label, label_key, background)
    genes = payload["genes"]
    tops = [[genes["names"][gene] for gene, _ in top] for top in genes["rest"]]
    table = tabulate(metacells, label_key, summary.doubts, tops)
    tree = draw_tree(metacells, batch)
    payload |= {"table": table.to_json(), "tree": {"order": tree.order, "step": tree.step}}
    payload["doubts"] = summary.doubts
    environment = Environment(
        loader=PackageLoader("scproto.reporting", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    # The package's own files are trusted, and to_script escapes the data.
    parts = {name: Markup((files(__package__) / name).read_text(encoding="utf-8")) for name in PARTS}
    return environment.get_template("report.html.j2").render(
        summary=summary,
        table=table,
        tree=tree,
        axes=axes_in_words(adata),
        curves=draw_curves(history),
        settings=list(flatten(settings)),
        genes=genes,
        n_cells=adata.n_obs,
        max_cells=MAX_CELLS,
        label_key=label_key,
        data=Markup(to_script(payload)),
        parts=parts,
    )
