from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from scproto import _keys
from scproto._errors import InputError
from scproto.model import SCPROTO


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    model.save(path)
    return path


def test_files_are_safetensors_and_json(folder, model):
    assert sorted(file.name for file in folder.iterdir()) == ["model.json", "weights.safetensors"]
    weights = load_file(folder / "weights.safetensors")
    assert set(weights) == set(model.module.state_dict())
    settings = json.loads((folder / "model.json").read_text())
    assert settings["init"]["n_prototypes"] == 10


def test_without_cells_the_results_are_the_same_to_the_last_bit(folder, atlas, latent, metacells, model):
    loaded = SCPROTO.load(folder)
    np.testing.assert_array_equal(loaded.prototypes, model.prototypes)
    np.testing.assert_array_equal(loaded.get_latent_representation(atlas), latent)
    again = loaded.get_metacells(atlas, label_keys=["cell_type"], decode_batches=["batch_2"])
    np.testing.assert_array_equal(again.X, metacells.X)
    pd.testing.assert_frame_equal(again.obs, metacells.obs)


def test_with_cells_the_results_are_the_same_to_the_last_bit(folder, raw_atlas, latent, model):
    """Cells straight from a file, never prepared."""
    loaded = SCPROTO.load(folder, raw_atlas.copy())
    np.testing.assert_array_equal(loaded.get_latent_representation(), latent)
    pd.testing.assert_frame_equal(loaded.get_normalized_expression(), model.get_normalized_expression())


def test_history_and_settings_come_back(folder, model):
    loaded = SCPROTO.load(folder)
    assert loaded.seed == model.seed
    assert loaded.reader == model.reader
    assert loaded.history.keys() == model.history.keys()
    for name, frame in model.history.items():
        pd.testing.assert_frame_equal(loaded.history[name], frame.astype(float), check_index_type=False)


def test_without_cells_they_must_be_passed(folder):
    loaded = SCPROTO.load(folder)
    for ask in (loaded.get_latent_representation, loaded.get_metacells, loaded.get_normalized_expression):
        with pytest.raises(InputError, match="loaded without cells; pass adata"):
            ask()


def test_loaded_cells_that_do_not_fit(folder, atlas):
    elsewhere = atlas.copy()
    elsewhere.obs["batch"] = "moon"
    with pytest.raises(InputError, match="not trained on batch 'moon'"):
        SCPROTO.load(folder, elsewhere)
    with pytest.raises(InputError, match="genes are not in the cells"):
        SCPROTO.load(folder, atlas[:, :5].copy())


def test_saved_again_with_fewer_cells_than_prototypes(folder, atlas, latent, tmp_path):
    few = atlas[atlas.obs["batch"] == "batch_0"][:4].copy()
    SCPROTO.load(folder, few).save(tmp_path / "again")
    np.testing.assert_array_equal(SCPROTO.load(tmp_path / "again").get_latent_representation(atlas), latent)


def test_loaded_model_trains_on_after_preparation_only(folder, atlas, raw_atlas):
    arguments = {"accelerator": "cpu", "enable_progress_bar": False, "batch_size": 32}
    loaded = SCPROTO.load(folder, atlas.copy())
    loaded.train(2, **arguments)
    assert np.isfinite(loaded.get_latent_representation()).all()
    with pytest.raises(InputError, match="no neighbours"):
        SCPROTO.load(folder, raw_atlas.copy()).train(2, **arguments)


def test_existing_folder_is_kept_unless_told(folder, atlas, model, tmp_path):
    with pytest.raises(InputError, match="exists already"):
        model.save(folder)
    path = tmp_path / "model"
    adata = atlas.copy()
    SCPROTO.setup_anndata(adata)
    SCPROTO(adata, n_prototypes=3).save(path)
    model.save(path, overwrite=True)
    assert len(SCPROTO.load(path).prototypes) == 10


def test_overwriting_spares_other_peoples_folders(model, tmp_path):
    (tmp_path / "thesis.txt").write_text("five years")
    with pytest.raises(InputError, match="does not replace it"):
        model.save(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "five years"


def test_untrained_model_comes_back_untrained(atlas, tmp_path):
    adata = atlas.copy()
    SCPROTO.setup_anndata(adata)
    SCPROTO(adata, n_prototypes=3).save(tmp_path / "model")
    with pytest.raises(InputError, match="not trained"):
        SCPROTO.load(tmp_path / "model", adata).get_latent_representation()


def test_folder_without_a_model(tmp_path):
    with pytest.raises(InputError, match=r"holds no model: model\.json is missing"):
        SCPROTO.load(tmp_path)


def test_loading_marks_genes_and_batches_in_the_cells(folder, atlas, raw_atlas):
    adata = raw_atlas.copy()
    SCPROTO.load(folder, adata)
    np.testing.assert_array_equal(adata.var[_keys.GENES], atlas.var[_keys.GENES])
    assert adata.obs[_keys.BATCH].astype(str).tolist() == atlas.obs["batch"].astype(str).tolist()
