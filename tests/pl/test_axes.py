from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.figure import Figure

from scproto import _keys, pl
from scproto._errors import InputError

WEIGHTS = np.array([[0.5, 0.2, 0.1], [-0.8, 0.1, 0.3], [0.3, -0.9, 0.6], [-0.1, 0.0, 0.7]], np.float32)


@pytest.fixture
def cells() -> AnnData:
    place = np.random.default_rng(0).normal(size=(50, 3)) * [2, 1, 1]
    genes = pd.DataFrame(index=["a", "b", "c", "$d"])
    return AnnData(var=genes, obsm={_keys.LATENT: place}, varm={_keys.AXES: WEIGHTS}, shape=(50, 4))


def test_each_panel_has_the_genes_of_both_ends(cells):
    panels = pl.axes(cells, n_genes=1, axes=Figure().subplots(1, 3))
    for number, ax in enumerate(panels):
        widths = [bar.get_width() for bar in ax.patches]
        assert widths == sorted(widths)
        named = [text.get_text() for text in ax.get_yticklabels()]
        extremes = [WEIGHTS[:, number].argmin(), WEIGHTS[:, number].argmax()]
        expected = [i for i, keep in zip(extremes, (WEIGHTS[:, number].min() < 0, True), strict=True) if keep]
        assert named == [cells.var_names[i] for i in expected]
        np.testing.assert_allclose(widths, WEIGHTS[expected, number])
    variance = cells.obsm[_keys.LATENT].var(axis=0)
    assert panels[0].get_title(loc="left") == f"Axis 1 ({variance[0] / variance.sum():.0%})"


def test_unused_panels_are_hidden(cells):
    panels = Figure().subplots(2, 2)
    assert len(pl.axes(cells, n_axes=2, axes=panels)) == 2
    assert [ax.get_visible() for ax in panels.ravel()] == [True, True, False, False]


def test_a_new_figure_fits_the_axes(cells):
    import matplotlib.pyplot as plt

    panels = pl.axes(cells)
    assert len(panels) == 3
    plt.close(panels[0].figure)


def test_too_few_panels(cells):
    with pytest.raises(InputError, match="There are 1 axes to draw 3 axes"):
        pl.axes(cells, axes=Figure().subplots())
