"""The state of a training, in one record that can be saved and loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import EarlyStopping
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .._errors import InputError
from .._files import atomic_path
from ..data.sampler import Guidance
from ..graph import KnnGraph
from .history import Stored

FORMAT = "scproto-training-1"
"""Format of the file; it changes when this version can no longer read the file."""


@dataclass(frozen=True)
class TrainingState:
    """A training between two epochs, on one device.

    Attributes
    ----------
    epoch
        Number of completed epochs.
    weights
        Parameters and buffers of the network, by name.
    optimizer
        State of AdamW: tensors by name for each parameter, by its number.
    groups
        Learning rate, betas and other settings of AdamW, one dictionary per group of parameters.
    schedule
        State of the learning-rate schedule.
    guidance
        Guidance that the minibatches follow.
    sampler
        State of the sampler; see :meth:`scproto.data.sampler.ViewSampler.state`.
    generators
        States of numpy's generators, by name.
    torch_generators
        States of torch's generators, by device.
    stopping
        State of early stopping; empty if there is none.
    history
        Logged values so far.
    identity
        Settings and a digest of the cells, which must be the same to continue.
    """

    epoch: int
    weights: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]
    groups: list[dict[str, Any]]
    schedule: dict[str, Any]
    guidance: Guidance
    sampler: dict[str, Any]
    generators: dict[str, Any]
    torch_generators: dict[str, Tensor]
    stopping: dict[str, Any] = field(default_factory=dict)
    history: Stored = field(default_factory=dict)
    identity: dict[str, Any] = field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """Write the state into one file: tensors as safetensors, everything else as JSON in its header.

        The file is either complete or as it was before.

        Raises
        ------
        InputError
            If the folder does not exist or cannot be written to.
        OSError
            If the disk is full or fails.
        """
        tensors, other = self._parts()
        text = json.dumps(other)
        with atomic_path(path) as temporary:
            try:
                save_file(tensors, temporary, metadata={"format": FORMAT, "state": text})
            except SafetensorError as error:
                raise OSError(f"{path} cannot be written ({error})") from error

    @classmethod
    def load(cls, path: str | Path) -> TrainingState:
        """Read a state that :meth:`save` wrote.

        Returns
        -------
        state : TrainingState
            The saved state.

        Raises
        ------
        InputError
            If the file does not exist, is damaged, or is not a checkpoint of this version.
        """
        file = Path(path).expanduser()
        if not file.is_file():
            raise InputError(f"There is no checkpoint {path}: train without resume_from to start anew.")
        try:
            with safe_open(file, "pt") as opened:
                metadata = opened.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise InputError(f"{path} is not a checkpoint of this version of scproto: start the training anew.")
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
            return cls._from_parts(tensors, json.loads(metadata["state"]))
        except InputError:
            raise
        except Exception as error:  # a damaged file can raise anything
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(f"The checkpoint {path} is damaged ({reason}): start the training anew.") from error

    def _parts(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Split the state into tensors by name, and the rest, which JSON can hold."""
        guidance, blocks = self.guidance, self.sampler["genes"]
        tensors = {f"weights/{name}": value for name, value in self.weights.items()}
        for number, values in self.optimizer.items():
            tensors |= {f"optimizer/{number}/{name}": value for name, value in values.items()}
        arrays: dict[str, NDArray[Any] | None] = {"weights": guidance.weights, "shares": guidance.shares}
        if guidance.cross is not None:
            arrays |= {"cross_indptr": guidance.cross.indptr, "cross_indices": guidance.cross.indices}
        arrays |= {f"anchors_{i}": cells for i, cells in enumerate(guidance.anchors)}
        tensors |= {f"guidance/{name}": torch.from_numpy(a) for name, a in arrays.items() if a is not None}
        tensors |= {f"genes/{i}": torch.from_numpy(block) for i, block in enumerate(blocks)}
        tensors |= {f"generator/{name}": value for name, value in self.torch_generators.items()}
        other = {
            "epoch": self.epoch,
            "groups": self.groups,
            "schedule": self.schedule,
            "paired": guidance.paired,
            "n_anchors": len(guidance.anchors),
            "n_blocks": len(blocks),
            "sampler": {name: value for name, value in self.sampler.items() if name != "genes"},
            "generators": self.generators,
            "stopping": self.stopping,
            "history": self.history,
            "identity": self.identity,
        }
        return {name: value.contiguous() for name, value in tensors.items()}, other

    @classmethod
    def _from_parts(cls, tensors: dict[str, Tensor], other: dict[str, Any]) -> TrainingState:
        """Undo :meth:`_parts`."""

        def under(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        optimizer: dict[int, dict[str, Tensor]] = {}
        for name, value in under("optimizer/").items():
            number, _, key = name.partition("/")
            optimizer.setdefault(int(number), {})[key] = value
        arrays = {name: value.numpy() for name, value in under("guidance/").items()}
        cross = KnnGraph(arrays["cross_indptr"], arrays["cross_indices"]) if "cross_indptr" in arrays else None
        anchors = tuple(arrays[f"anchors_{i}"] for i in range(other["n_anchors"]))
        genes = [tensors[f"genes/{i}"].numpy() for i in range(other["n_blocks"])]
        return cls(
            epoch=int(other["epoch"]),
            weights=under("weights/"),
            optimizer=optimizer,
            groups=list(other["groups"]),
            schedule=dict(other["schedule"]),
            guidance=Guidance(arrays["weights"], bool(other["paired"]), anchors, cross, arrays.get("shares")),
            sampler={**other["sampler"], "genes": genes},
            generators=dict(other["generators"]),
            torch_generators=under("generator/"),
            stopping=dict(other["stopping"]),
            history=dict(other["history"]),
            identity=dict(other["identity"]),
        )

    def check_identity(self, identity: dict[str, Any]) -> None:
        """Refuse to continue a different training.

        Raises
        ------
        InputError
            If the settings or cells differ from those of this state.
        """
        stored = self.identity
        for name in sorted({*stored, *identity}):
            if (before := stored.get(name)) == (now := identity.get(name)):
                continue
            if name == "cells":
                raise InputError(
                    "The checkpoint belongs to other cells, or to cells that were prepared differently: resume with "
                    "the same cells, or start the training anew."
                )
            raise InputError(
                f"The checkpoint belongs to a training with {name}={before!r}, not {now!r}: resume with the same "
                "settings, or start the training anew."
            )


def copy_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors to the CPU, where further steps do not change them."""
    return {name: value.detach().cpu().clone() for name, value in tensors.items()}


def stopping_state(stopping: EarlyStopping) -> dict[str, Any]:
    """Return the state of early stopping, as JSON can hold it."""
    state = stopping.state_dict()
    return {"wait_count": state["wait_count"], "best_score": float(state["best_score"])}


def restored_stopping(state: dict[str, Any]) -> dict[str, Any]:
    """Undo :func:`stopping_state`."""
    return {"wait_count": state["wait_count"], "best_score": torch.tensor(state["best_score"])}


def torch_states() -> dict[str, Tensor]:
    """Return the states of torch's generators: one for the CPU, and one per CUDA device."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda:{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def restore_torch_states(states: dict[str, Tensor]) -> None:
    """Undo :func:`torch_states` for the devices of this machine."""
    torch.set_rng_state(states["cpu"])
    for name, state in states.items():
        if name.startswith("cuda") and int(name.partition(":")[2]) < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, name)
