from __future__ import annotations

import numpy as np
import pytest
from anndata import read_h5ad

from scproto import _keys
from scproto.run import Settings, fit, run


def test_a_run_that_stops_in_a_further_training_is_resumed(tiny_atlas, tmp_path, monkeypatch):
    settings = Settings(batch_key=("batch",), n_prototypes=6, max_steps=24, seeds=2, report=False)
    monkeypatch.setattr("scproto.train.checkpoint.Checkpoint.__init__.__defaults__", (0.0,))
    run(tiny_atlas.copy, tmp_path / "whole", settings)
    with monkeypatch.context() as patch:
        train_one = fit._train_one

        def stop(admitted, seed, *rest, **kwargs):
            if seed == 1:
                raise RuntimeError("stopped")
            return train_one(admitted, seed, *rest, **kwargs)

        patch.setattr(fit, "_train_one", stop)
        with pytest.raises(RuntimeError, match="stopped") as caught:
            run(tiny_atlas.copy, tmp_path / "run", settings)
    assert "model" in caught.value.__notes__[0]
    assert (tmp_path / "run.checkpoint").is_file()
    run(tiny_atlas.copy, tmp_path / "run", settings, resume=True)
    first, again = (read_h5ad(tmp_path / name / "cells.h5ad") for name in ("whole", "run"))
    np.testing.assert_array_equal(again.obsm[_keys.LATENT], first.obsm[_keys.LATENT])
    record, expected = (adata.uns[_keys.UNS][_keys.STABILITY] for adata in (again, first))
    np.testing.assert_array_equal(record["overlap"], expected["overlap"])
