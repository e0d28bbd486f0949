from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scproto import _keys, pp
from scproto._errors import InputError
from scproto.datasets import pbmc_three_labs
from scproto.model import SCPROTO
from scproto.tl import assign_metacells, rank_axis_genes

GENES = ["CD3D", "LYZ", "MS4A1", "ACTB"]
WEIGHTS = np.array([[0.5, 0.0], [-0.8, 0.1], [0.3, -0.9], [0.0, 0.0]], np.float32)


@pytest.fixture
def cells() -> AnnData:
    place = np.random.default_rng(0).normal(size=(30, 2)) * [3, 1]
    return AnnData(var=pd.DataFrame(index=GENES), obsm={_keys.LATENT: place}, varm={_keys.AXES: WEIGHTS}, shape=(30, 4))


@pytest.fixture(scope="module")
def blood_axes() -> pd.DataFrame:
    """Genes of the axes of 700 blood cells of three labs."""
    blood = pbmc_three_labs()
    pp.prepare(blood, "lab")
    SCPROTO.setup_anndata(blood)
    model = SCPROTO(blood, n_prototypes=20)
    model.train(400, accelerator="cpu", enable_progress_bar=False)
    assign_metacells(blood, model)
    return rank_axis_genes(blood, 12)


@pytest.mark.parametrize("n_genes", [1, 2, None])
def test_genes_of_both_ends_equal_a_loop(cells, n_genes):
    table = rank_axis_genes(cells, n_genes)
    variance = cells.obsm[_keys.LATENT].var(axis=0)
    expected = []
    for axis in range(2):
        for end, sign in (("high", 1), ("low", -1)):
            found = [(sign * WEIGHTS[g, axis], GENES[g]) for g in range(4) if sign * WEIGHTS[g, axis] > 0]
            for rank, (weight, name) in enumerate(sorted(found, reverse=True)[:n_genes], start=1):
                share = variance[axis] / variance.sum()
                expected.append((f"axis_{axis + 1}_{end}", axis + 1, share, rank, name, sign * weight))
    assert table.columns.tolist() == ["group", "axis", "share", "rank", "names", "weights"]
    for row, values in zip(table.itertuples(index=False), expected, strict=True):
        assert tuple(row)[:2] == values[:2]
        assert row.share == pytest.approx(values[2])
        assert (row.rank, row.names) == values[3:5]
        assert row.weights == pytest.approx(values[5])


def test_cells_without_axes(cells):
    del cells.varm[_keys.AXES]
    with pytest.raises(InputError, match="take cells after"):
        rank_axis_genes(cells)
    with pytest.raises(InputError, match="n_genes=0"):
        rank_axis_genes(cells, 0)


def test_cells_in_one_place_have_no_variance(cells):
    cells.obsm[_keys.LATENT][:] = 0
    assert (rank_axis_genes(cells)["share"] == 0).all()


def test_axes_of_blood_are_its_programmes(blood_axes):
    """The two ends of each of the first axes are known kinds of cells."""
    programmes = {
        "T": {"CD3D", "CD3E", "CD3G", "IL7R", "LTB", "CD2", "CD27", "LCK", "TRAC", "IL32"},
        "myeloid": {"LYZ", "S100A8", "S100A9", "CST3", "FCN1", "TYROBP", "LGALS2", "FTL", "AIF1", "CTSS", "FCER1G"},
        "B": {"MS4A1", "CD79A", "CD79B", "HLA-DRA", "HLA-DQA1", "HLA-DPB1", "CD74", "TCL1A", "IGLL5"},
        "NK": {"NKG7", "GNLY", "GZMB", "PRF1", "GZMA", "CCL5", "CST7", "FGFBP2", "KLRD1", "CTSW"},
        "platelet": {"PPBP", "PF4", "GNG11", "SDPR", "GP9", "TUBB1", "NRGN", "CLU", "SPARC"},
    }
    found = blood_axes.groupby("group", observed=True)["names"].agg(set)
    ends = [found[f"axis_{axis}_{end}"] for axis in (1, 2, 3) for end in ("high", "low")]
    named = [max(programmes, key=lambda name: len(programmes[name] & end)) for end in ends]
    best = [len(programmes[name] & end) for name, end in zip(named, ends, strict=True)]
    assert sum(n >= 3 for n in best) >= 4
    assert {"T", "myeloid", "B"} <= set(named)
