from __future__ import annotations

from scproto.run import Settings


def test_settings_are_stored_without_what_anndata_cannot_write():
    stored = Settings(batch_key=("lab",), n_prototypes=5).storable()
    assert stored["batch_key"] == ["lab"]
    assert stored["n_prototypes"] == 5
    assert None not in stored.values()
    assert "label_keys" not in stored
