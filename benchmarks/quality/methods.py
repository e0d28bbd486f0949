"""The methods that the quality benchmark compares, and the common input that they all get."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from lab.data import digest_of
from lab.records import write_json
from lab.runs import Method

import scproto
from scproto._errors import InputError
from scproto._files import atomic_path
from scproto.inputs import read_cells, read_counts, read_obs


def _method(title: str, script: str, package: str, *, reads_original: bool = False) -> Method:
    return Method(title, Path(__file__).with_name("peers") / f"{script}.py", package, reads_original)


METHODS = {
    "scproto": _method("scproto", "scproto_fit", "scproto", reads_original=True),
    "pca": _method("PCA", "pca", "scikit-learn"),
    "harmony": _method("Harmony", "harmony", "harmonypy"),
    "scvi": _method("scVI", "scvi_tools", "scvi-tools"),
    "scpoli": _method("scPoli", "scpoli", "scarches"),
    "drvi": _method("DRVI", "drvi_py", "drvi-py"),
    "sysvi": _method("sysVI", "sysvi", "scvi-tools"),
    "scanorama": _method("Scanorama", "scanorama_svd", "scanorama"),
    "concord": _method("CONCORD", "concord_sc", "concord-sc"),
    "seacells": _method("SEACells", "seacells", "seacells"),
    "metacell2": _method("MetaCell-2", "metacell2", "metacells"),
    "supercell": _method("SuperCell", "supercell", "omicverse"),
    "metaq": _method("MetaQ", "metaq", "metaq-sc"),
    "geosketch": _method("geosketch", "geometric_sketch", "geosketch"),
    "random": _method("random cells", "random_cells", "scikit-learn"),
}
"""Methods by the name that ``--methods`` takes."""


@dataclass(frozen=True)
class Data:
    """A data set and the input made from it."""

    name: str
    original: Path
    """The file as given: raw counts in ``X``, ``obs["batch"]`` and ``obs["cell_type"]``."""
    prepared: Path
    """The input of the methods: counts of the chosen genes, batches and PCA, without labels."""
    digest: str
    n_cells: int
    n_genes: int

    def labelled(self) -> AnnData:
        """Return the input with ``obs["cell_type"]`` for scoring; cells without a label have a missing value."""
        cells = read_cells(self.prepared)
        cell_type = read_obs(self.original)["cell_type"]
        cells.obs["cell_type"] = cell_type.astype(object).map(str, na_action="ignore").to_numpy()
        return cells


def prepare(original: Path, folder: Path) -> Data:
    """Choose genes and compute the PCA as scproto does, and write the input, unless it was written before.

    Raises
    ------
    InputError
        If the file lacks counts, batches or labels.
    """
    prepared, record = folder / f"{original.stem}.h5ad", folder / f"{original.stem}.json"
    digest = digest_of(original)
    found = json.loads(record.read_text()) if record.exists() else {}
    if found.get("digest") != digest or not prepared.exists():
        cells = _choose(original)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(prepared) as path:
            cells.write_h5ad(path, compression="gzip")
        found = {"digest": digest, "n_cells": cells.n_obs, "n_genes": cells.n_vars}
        write_json(record, found)
    return Data(original.stem, original.resolve(), prepared.resolve(), **found)


def _choose(original: Path) -> AnnData:
    """Return the counts of the genes that scproto would choose, with batch and PCA, in a form for old anndata."""
    adata = read_cells(original)
    if "cell_type" not in adata.obs:
        raise InputError(f"{original} has no obs['cell_type']: add known labels; the benchmark scores against them.")
    if adata.obs["cell_type"].nunique() < 2:
        raise InputError(f"{original} has fewer than two cell types: scoring needs at least two.")
    scproto.pp.prepare(adata, "batch")
    counts = read_counts(adata)
    genes = adata.var["scproto_gene"].to_numpy()
    batch = pd.Categorical(adata.obs["batch"].astype(str).to_numpy(dtype=object))
    index = partial(pd.Index, dtype=object)
    return AnnData(
        counts.matrix[:, genes[counts.genes]].astype(np.float32),
        obs=pd.DataFrame({"batch": batch}, index=index(adata.obs_names)),
        var=pd.DataFrame(index=index(adata.var_names[genes])),
        obsm={"X_pca": adata.obsm["X_scproto_pca"]},
    )
