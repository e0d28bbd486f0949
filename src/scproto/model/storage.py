"""A model on disk: weights as safetensors, everything else as JSON, no pickle."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from .._errors import InputError
from .._files import atomic_folder
from ..network import ADDED, PrototypeModule
from .annotation import Annotation

SETTINGS = "model.json"
WEIGHTS = "weights.safetensors"
LABELS = "labels.safetensors"


def write_model(
    path: str | Path,
    module: PrototypeModule,
    settings: dict[str, Any],
    annotations: Sequence[Annotation] = (),
    *,
    overwrite: bool,
) -> None:
    """Write a folder with the weights, the labels and the settings; it is either complete or absent.

    Raises
    ------
    InputError
        If the folder exists and may not be replaced.
    OSError
        If the disk is full or fails.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    learnt = list({id(annotation): annotation for annotation in annotations}.values())
    labels = {f"{i}.{name}": torch.from_numpy(x) for i, one in enumerate(learnt) for name, x in one.arrays().items()}
    settings = {"version": version("scproto")} | settings | {"labels": [one.to_json() for one in learnt]}
    text = json.dumps(settings, default=_plain, indent=1)
    with atomic_folder(path, overwrite, marker=SETTINGS, written=lambda folder: {SETTINGS, WEIGHTS, LABELS}) as folder:
        try:
            save_file(state, folder / WEIGHTS)
            if labels:
                save_file({name: x.contiguous() for name, x in labels.items()}, folder / LABELS)
        except SafetensorError as error:
            raise OSError(f"{path} cannot be written ({error})") from error
        (folder / SETTINGS).write_text(text, encoding="utf-8")


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Report any error in the block as a damaged model, since its files may hold anything."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"Cannot read the model in {path}: {error.strerror or error}.") from error
    except Exception as error:
        raise InputError(_damaged(path, f"{type(error).__name__}: {error}".splitlines()[0])) from error


def read_settings(path: str | Path, known: Iterable[str]) -> dict[str, Any]:
    """Read the settings of a saved model.

    Parameters
    ----------
    path
        Folder of the model.
    known
        Names of the settings that a model of this version has.

    Returns
    -------
    settings : dict
        What :func:`write_model` got as settings, and the version that wrote them.

    Raises
    ------
    InputError
        If the folder holds no model, or the model is damaged or was saved by a later version.
    """
    with reading(path):
        settings = json.loads(_file(path, SETTINGS).read_text(encoding="utf-8"))
    kinds = {"init": dict, "registry": dict, "is_trained": bool, "history": dict}
    for name, kind in kinds.items():
        if not isinstance(settings, dict) or not isinstance(settings.get(name), kind):
            raise InputError(_damaged(path, f"{SETTINGS} has no {name!r}"))
    if unknown := sorted(set(settings["init"]) - set(known)):
        raise InputError(
            f"The model in {path} has a setting {unknown[0]!r}, which scproto {version('scproto')} does not know: use "
            f"scproto {settings.get('version', 'of a later version')}, which saved it."
        )
    return settings


def read_weights(path: str | Path, module: PrototypeModule) -> None:
    """Load the weights of a saved model into a module of the same sizes; buffers grow to the saved size.

    Raises
    ------
    InputError
        If the weights are damaged or belong to another model.
    """
    with reading(path):
        state = load_file(_file(path, WEIGHTS))
    own, buffers = module.state_dict(), dict(module.named_buffers())
    if names := sorted((set(state) ^ set(own)) - set(ADDED)):
        raise InputError(_damaged(path, f"{WEIGHTS} {'lacks' if names[0] in own else 'has an unknown'} {names[0]!r}"))
    for name, value in state.items():
        first = 1 if name in buffers else 0  # rounds of alignment and axes come first
        if value.shape[first:] != own[name].shape[first:] or value.ndim != own[name].ndim:
            shapes = f"{tuple(value.shape)}, not {tuple(own[name].shape)}"
            raise InputError(_damaged(path, f"{name!r} in {WEIGHTS} has the shape {shapes}"))
    module.load_weights(state)


def read_annotations(path: str | Path, settings: dict[str, Any]) -> dict[str, Annotation]:
    """Read the labels that a saved model has learnt, by column.

    Raises
    ------
    InputError
        If the labels are damaged.
    """
    stored = settings.get("labels", [])
    if not stored:
        return {}
    found: dict[str, Annotation] = {}
    with reading(path):
        arrays = {name: x.numpy() for name, x in load_file(_file(path, LABELS)).items()}
        for i, one in enumerate(stored):
            own = {name.split(".", 1)[1]: x for name, x in arrays.items() if name.startswith(f"{i}.")}
            annotation = Annotation.from_json(one, own)
            found |= dict.fromkeys(annotation.columns, annotation)
    return found


def _file(path: str | Path, name: str) -> Path:
    """Path of a file of a saved model."""
    folder = Path(path).expanduser()
    if not folder.exists():
        raise InputError(f"There is no folder {path}: give the folder that SCPROTO.save wrote.")
    if not folder.is_dir():
        raise InputError(f"{path} is a file: give the folder that SCPROTO.save wrote.")
    if not (folder / name).is_file():
        raise InputError(f"{path} holds no model: {name} is missing; give the folder that SCPROTO.save wrote.")
    return folder / name


def _damaged(path: str | Path, what: str) -> str:
    return f"The model in {path} is damaged ({what}): take another copy of it, or train again."


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} can't be written as JSON.")
