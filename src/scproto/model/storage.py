"""A model on disk: weights as safetensors, all else as JSON; no pickle."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from .._errors import InputError
from .._files import atomic_folder

SETTINGS = "model.json"
WEIGHTS = "weights.safetensors"


def write_model(path: str | Path, module: nn.Module, settings: dict[str, Any], *, overwrite: bool) -> None:
    """Write a folder with the weights and the settings; it is complete, or it is not there."""
    state = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    with atomic_folder(path, overwrite, marker=SETTINGS) as folder:
        save_file(state, folder / WEIGHTS)
        (folder / SETTINGS).write_text(json.dumps({"version": version("scproto")} | settings, default=_plain, indent=1))


def read_settings(path: str | Path) -> dict[str, Any]:
    """Settings of a saved model.

    Raises
    ------
    InputError
        If the folder does not hold one.
    """
    file = Path(path) / SETTINGS
    if not file.is_file():
        raise InputError(f"{path} holds no model: {SETTINGS} is missing; give the folder that SCPROTO.save wrote.")
    return json.loads(file.read_text())


def read_weights(path: str | Path, module: nn.Module) -> None:
    """Load the weights of a saved model into a module of the same sizes; buffers grow to what was saved."""
    state = load_file(Path(path) / WEIGHTS)
    for name, buffer in module.named_buffers():
        if name in state and state[name].shape != buffer.shape:
            setattr(module, name, torch.empty_like(state[name]))
    module.load_state_dict(state)


def history_to_json(history: dict[str, pd.DataFrame] | None) -> dict[str, dict[str, list[float | None]]]:
    """Training history as plain lists: epochs and values of each quantity."""
    return {
        name: {"epoch": frame.index.tolist(), "value": [_number(v) for v in frame[name]]}
        for name, frame in (history or {}).items()
    }


def history_from_json(stored: dict[str, dict[str, list[float | None]]]) -> dict[str, pd.DataFrame]:
    """Undo :func:`history_to_json`."""
    return {
        name: pd.DataFrame({name: column["value"]}, index=pd.Index(column["epoch"], name="epoch"), dtype=float)
        for name, column in stored.items()
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if np.isfinite(value) else None


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} can't be written as JSON.")
