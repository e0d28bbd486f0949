from __future__ import annotations

import numpy as np
import pytest

from scproto import _keys
from scproto._errors import InputError
from scproto.run import Settings
from scproto.run.admit import admit


def test_the_counts_of_admitted_cells_are_read_and_checked(tiny_atlas, tmp_path):
    admitted = admit(tiny_atlas, Settings(batch_key=("batch",)), tmp_path)
    np.testing.assert_array_equal(admitted.counts.matrix.toarray(), tiny_atlas.X.toarray())
    assert admitted.counts.genes.all()
    assert list(tmp_path.iterdir()) == []  # the rehearsal leaves nothing


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5])
def test_a_seed_out_of_range_is_refused_before_the_counts_are_read(tiny_atlas, tmp_path, monkeypatch, seed):
    monkeypatch.setattr("scproto.run.admit.check_adata", lambda *_, **__: pytest.fail("the counts were read"))
    with pytest.raises(InputError, match="seed"):
        admit(tiny_atlas, Settings(seed=seed), tmp_path)


def test_columns_with_names_of_results_are_set_aside_and_followed(tiny_atlas, tmp_path):
    tiny_atlas.obs[_keys.METACELL] = tiny_atlas.obs["cell_type"]
    admitted = admit(tiny_atlas, Settings(batch_key=("batch",), label_keys=(_keys.METACELL,)), tmp_path)
    assert admitted.settings.label_keys == ("metacell_input",)
    assert "metacell_input" in admitted.adata.obs


def test_the_registration_of_other_models_comes_back(tiny_atlas, tmp_path):
    tiny_atlas.uns["_scvi_uuid"] = "of another model"
    admitted = admit(tiny_atlas, Settings(batch_key=("batch",)), tmp_path)
    tiny_atlas.uns["_scvi_uuid"] = "of this run"
    tiny_atlas.obs["_scvi_batch"] = 0
    admitted.restore_registration()
    assert tiny_atlas.uns["_scvi_uuid"] == "of another model"
    assert "_scvi_batch" not in tiny_atlas.obs
