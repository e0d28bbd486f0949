"""AnnData as the wild has it: any shape, type, format, name, category and extreme."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from hypothesis import strategies as st
from scipy import sparse

NAMES = ["a", "b", "A/B", "A|B", "", ".", "..", "nan", "None", " ", "x" * 300, "Zürich–β", "北京", "a\nb"]
NAMES += ["[red]", "[/]", "$x$", "_hidden", "-1", "1.0", "\\", '"', "'", "<b>", "&amp;", "</script>"]
COLUMNS = ["batch", "cell type", "n_cells", "confidence", "share_a", "metacell", "_index", "label/fine", "x_share"]
COLUMNS += ["batch_entropy", "scproto_batch", "_scvi_batch", "$y$", "[bold]", "ä", "x"]


@dataclass
class Wild:
    """Cells, and how to fit them."""

    adata: AnnData
    counts: np.ndarray
    batch_key: tuple[str, ...]
    label_keys: tuple[str, ...]
    n_prototypes: int | str
    seed: int
    report: bool = False

    def __repr__(self) -> str:
        x = self.adata.X
        columns = {name: str(self.adata.obs[name].dtype) for name in self.adata.obs}
        return (
            f"Wild({type(x).__name__} {getattr(x, 'dtype', None)} {self.adata.shape}, obs={columns}, "
            f"batch_key={self.batch_key}, label_keys={self.label_keys}, n_prototypes={self.n_prototypes}, "
            f"seed={self.seed}, report={self.report})"
        )


def dense_counts(n_cells: int, n_genes: int, depth: float, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Counts of a few types of cells; ``kind`` says what is odd about them."""
    profiles = rng.gamma(0.5, size=(3, n_genes)) + 0.02
    rate = profiles[rng.integers(3, size=n_cells)] * rng.lognormal(0, 0.5, (n_cells, 1))
    counts = rng.poisson(depth * rate / rate.mean() / n_genes).astype(np.float64)
    if kind == "repeated":
        counts[: n_cells // 2] = counts[0]
    elif kind == "identical":
        counts[:] = counts[0]
    elif kind == "empty cells":
        counts[rng.random(n_cells) < 0.3] = 0
    elif kind == "empty genes":
        counts[:, rng.random(n_genes) < 0.5] = 0
    elif kind == "one gene":
        counts[:, 1:] = 0
    elif kind == "binary":
        counts = np.minimum(counts, 1)
    elif kind == "huge":
        counts[0] *= 1e6
    elif kind == "giant":
        counts[0, 0] = 2.0**31
    elif kind == "disjoint":
        counts[: n_cells // 2, : n_genes // 2] = 0
        counts[n_cells // 2 :, n_genes // 2 :] = 0
    if kind != "empty cells":
        counts[counts.sum(axis=1) == 0, 0] = 1
    return counts


KINDS = ["plain", "plain", "plain", "repeated", "identical", "empty cells", "empty genes", "one gene", "binary", "huge"]
KINDS += ["giant", "disjoint"]


def repeat_entries(x: np.ndarray) -> sparse.csr_matrix:
    """Each value of two or more as two entries."""
    csr = sparse.csr_matrix(x)
    rows = np.repeat(np.arange(len(x)), np.diff(csr.indptr))
    more = csr.data >= 2
    data = np.concatenate([np.where(more, 1, csr.data), csr.data[more] - 1])
    rows, columns = np.concatenate([rows, rows[more]]), np.concatenate([csr.indices, csr.indices[more]])
    order = np.argsort(rows, kind="stable")
    indptr = np.append(0, np.cumsum(np.bincount(rows, minlength=len(x))))
    return sparse.csr_matrix((data[order], columns[order], indptr), x.shape)


def with_zeros(x: np.ndarray) -> sparse.csr_matrix:
    columns = np.tile(np.arange(x.shape[1]), len(x))
    return sparse.csr_matrix((x.ravel().copy(), columns, np.arange(0, x.size + 1, x.shape[1])), x.shape)


def long_indices(x: np.ndarray) -> sparse.csr_matrix:
    csr = sparse.csr_matrix(x)
    csr.indices, csr.indptr = csr.indices.astype(np.int64), csr.indptr.astype(np.int64)
    return csr


FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "csr_array": sparse.csr_array,
    "dense": np.array,
    "fortran": np.asfortranarray,
    "reversed": lambda x: np.ascontiguousarray(x[:, ::-1])[:, ::-1],
    "big endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "repeated": repeat_entries,
    "zeros": with_zeros,
    "long": long_indices,
    "masked": lambda x: np.ma.array(x, mask=False),
}
"""Legal forms of the same matrix."""

TYPES = ["float32", "float64", "int32", "int64", "uint16", "uint32"]


def fits(x: np.ndarray, dtype: str) -> bool:
    """Whether all of these whole numbers are numbers of a type."""
    if np.dtype(dtype).kind == "f":
        return bool((x.astype(dtype) == x).all())
    return bool(x.max() <= np.iinfo(dtype).max)


COLUMN_KINDS = ["text", "category", "unused", "string", "int", "float", "bool", "Int64", "gaps", "date"]
EXTRAS = ["raw", "uns", "obsm", "layer", "index", "types", "umap", "varm"]


@st.composite
def columns(draw: st.DrawFn, n_cells: int, n_groups: int) -> Any:
    """A column of a table with a few different values."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=n_groups, max_size=n_groups, unique=True))
    codes = np.arange(n_cells) % n_groups
    if draw(st.booleans()):
        codes = np.sort(codes)
    text = np.array(names, dtype=object)[codes]
    kind = draw(
        st.sampled_from(["text", "category", "unused", "string", "int", "float", "bool", "Int64", "gaps", "date"])
    )
    if kind == "category":
        return pd.Categorical(text)
    if kind == "unused":
        return pd.Categorical(text, categories=[*names, "never"], ordered=draw(st.booleans()))
    if kind == "string":
        return pd.array(text, dtype="string")
    if kind == "int":
        return codes
    if kind == "float":
        return codes + 0.5
    if kind == "bool":
        return codes > 0
    if kind == "Int64":
        return pd.array(np.where(codes == 0, None, codes), dtype="Int64")
    if kind == "gaps":
        return np.where(np.arange(n_cells) % 3 == 1, None, text)
    if kind == "date":
        return pd.Categorical(np.array(["2020-01-01", "2021-01-01", "2022-01-01"], dtype=object)[codes % 3])
    return text


@st.composite
def extras(draw: st.DrawFn, adata: AnnData, counts: np.ndarray) -> None:
    """What else stands in the files of users; changes the cells in place."""
    n = adata.n_obs
    for what in draw(st.lists(st.sampled_from(EXTRAS), max_size=4)):
        if what == "raw":
            adata.raw = adata.copy()
        elif what == "uns":
            adata.uns[draw(st.sampled_from(["neighbors", "scproto", "a b"]))] = {
                "params": {"n": 3, "names": ["x", "y"]}
            }
        elif what == "obsm":
            adata.obsm[draw(st.sampled_from(["X_pca", "X_scproto", "metacell_probability"]))] = np.ones((n, 2))
        elif what == "layer":
            adata.layers["normalised"] = np.log1p(counts)
        elif what == "index":
            adata.obs.index.name = draw(st.sampled_from(["metacell", "barcode", adata.obs.columns[0]]))
        elif what == "types":
            adata.var["feature_types"] = np.where(
                np.arange(adata.n_vars) % 7 == 6, "Antibody Capture", "Gene Expression"
            )
        elif what == "umap":
            adata.obsm["X_umap"] = np.zeros((n, 2))
        elif what == "varm":
            adata.varm["PCs"] = np.ones((adata.n_vars, 3))


@st.composite
def wild(draw: st.DrawFn) -> Wild:
    """Cells as somebody may have them."""
    n_cells = draw(st.sampled_from([60, 30, 120, 2, 3, 4, 5, 7, 12, 1]))
    n_genes = draw(st.sampled_from([60, 10, 40, 2, 3, 1]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = dense_counts(
        n_cells, n_genes, draw(st.sampled_from([300, 2, 30, 20000])), draw(st.sampled_from(KINDS)), rng
    )
    dtype = draw(st.sampled_from([name for name in TYPES if fits(counts, name)]))
    x = FORMS[draw(st.sampled_from(sorted(FORMS)))](counts.astype(dtype))
    obs = pd.DataFrame(index=pd.Index([f"cell{i}" for i in range(n_cells)], dtype=object))
    names = draw(st.lists(st.sampled_from(COLUMNS), min_size=2, max_size=5, unique=True))
    for name in names:
        groups = draw(st.sampled_from([1, 2, 3, n_cells // 3, n_cells])) or 1
        obs[name] = draw(columns(n_cells, min(groups, len(NAMES), n_cells)))
    var = pd.DataFrame(index=pd.Index([f"gene{i}" for i in range(n_genes)], dtype=object))
    adata = AnnData(x, obs, var)
    draw(extras(adata, counts))
    keys = [*draw(st.permutations(names)), None]
    return Wild(
        adata,
        counts,
        batch_key=tuple(key for key in keys[: draw(st.integers(0, 2))] if key is not None),
        label_keys=tuple(draw(st.lists(st.sampled_from(names), max_size=3))),
        n_prototypes=draw(st.sampled_from(["auto", 1, 2, 3, n_cells, n_cells + 1])),
        seed=draw(st.sampled_from([0, 1, 2**31, 2**32 - 1] * 3 + [2**32])),
        report=draw(st.sampled_from([False] * 9 + [True])),
    )
