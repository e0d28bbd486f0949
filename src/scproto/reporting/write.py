"""Gather figures, words and tables and write the report."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from .. import _keys
from .._errors import InputError
from .._files import atomic_path
from .._versions import library_versions

if TYPE_CHECKING:
    from ..model import SCPROTO

FIGURES = "figures"


def report(adata: AnnData, model: SCPROTO, path: str | Path, *, label_key: str | None = None) -> Path:
    """Write a report of a trained model as one HTML file, the figures also as PNG files beside it.

    Parameters
    ----------
    adata
        The cells, after :func:`scproto.tl.assign_metacells`. ``obsm["X_scproto_umap"]`` is added, and where the
        PCA of :func:`scproto.pp.prepare` is there ``uns["scproto"]["verdict"]``.
    model
        The trained model.
    path
        The HTML file. Its folder must exist; the figures go to ``figures/`` in it.
    label_key
        Column of ``adata.obs`` with known labels, for the picture by label and the purity.

    Returns
    -------
    The path of the report.

    Raises
    ------
    InputError
        If a key is missing or the path cannot be written.
    """
    _check(adata, Path(path), label_key)
    level = adata.uns.get(_keys.UNS, {}).get("n_metacells")
    metacells = model.get_metacells(n=level, label_keys=() if label_key is None else (label_key,))
    settings = {name: value for name, value in adata.uns.get(_keys.UNS, {}).items() if name != "verdict"}
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
) -> Path:
    """Write the report from what a run has made, without the model.

    Parameters
    ----------
    adata
        The cells, after :func:`scproto.tl.assign_metacells`. The sentences of ``uns["scproto"]["verdict"]``,
        where it is there, are shown.
    metacells
        The metacells, ``(n_metacells, n_genes)``, as ``model.get_metacells`` gives them. Where cells or
        metacells lack ``obsm["X_scproto_umap"]``, it is computed and added to both.
    history
        ``model.history``; without it the report has no training curves.
    settings
        What the report lists as settings and versions. ``settings["seed"]`` seeds the UMAP.
    path
        The HTML file. Its folder must exist; the figures go to ``figures/`` in it.
    label_key
        Column of ``adata.obs``, and for the table of ``metacells.obs``, with known labels.

    Returns
    -------
    The path of the report.

    Raises
    ------
    InputError
        If a key is missing or the path cannot be written.
    """
    path = Path(path)
    _check(adata, path, label_key)
    if not (_keys.UMAP in adata.obsm and _keys.UMAP in metacells.obsm):
        from ..tl.umap import umap

        umap(adata, metacells, seed=int(settings.get("seed", 0)))
    page, images = _render(adata, metacells, history, settings, label_key)
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
        raise InputError(f"The folder {path.parent} does not exist: make it first or choose another path.")


def _render(
    adata: AnnData,
    metacells: AnnData,
    history: Mapping[str, pd.DataFrame] | None,
    settings: Mapping[str, Any],
    label_key: str | None,
) -> tuple[str, dict[str, bytes]]:
    """Return the page and the figures by file name."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from .figures import draw
    from .summary import flatten, summarise, tabulate

    pictures = draw(adata, metacells, history, label_key)
    environment = Environment(
        loader=PackageLoader("scproto.reporting", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("report.html.j2").render(
        summary=summarise(adata, label_key),
        figures=[(picture, b64encode(picture.png).decode("ascii")) for picture in pictures],
        table=tabulate(metacells, label_key),
        settings=list(flatten(settings)),
    )
    return page, {f"{picture.name}.png": picture.png for picture in pictures}
