"""SCPROTO: the model that users train, built on scvi-tools."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import torch
from anndata import AnnData
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager
from scvi.data.fields import CategoricalObsField, LayerField
from scvi.model.base import BaseModelClass

from .. import _keys
from .._arguments import check_number, check_seed, check_whole
from .._errors import InputError
from ..data.reader import Reader
from ..data.source import CellSource
from ..inputs import choose_n_prototypes
from ..network import PrototypeModule
from ..train import Checkpoint
from ..train.history import history_from_json, history_to_json
from ..train.state import TrainingState
from . import habits
from .annotation import Annotation
from .expression import ExpressionMixin
from .query import QueryMixin
from .storage import read_annotations, read_settings, read_weights, reading, write_model
from .training import check_source, learn, settle


class SCPROTO(QueryMixin, ExpressionMixin, BaseModelClass):
    """Prototypes shared by all batches: integrated embedding, metacells and denoised expression.

    Parameters
    ----------
    adata
        Cells after :func:`scproto.pp.prepare` and :meth:`setup_anndata`.
    registry
        Registry to use instead of ``adata``, for a model without cells; see :meth:`load`.
    n_prototypes
        Number of metacells to learn; ``"auto"`` takes one per 75 cells, at most 1,000.
    n_latent
        Dimension of the embedding.
    n_hidden
        Width of the hidden layers.
    seed
        Seed of all randomness: weights, minibatches, views and k-means; from 0 to 4294967295.
    **module_kwargs
        Weights of the losses and constants of the objective; see :class:`scproto.network.PrototypeModule`.

    Raises
    ------
    InputError
        If there are fewer cells than prototypes, or an argument is unknown or out of range.

    Examples
    --------
    >>> adata = scproto.datasets.pbmc_three_labs()
    >>> scproto.pp.prepare(adata, batch_key="lab")
    >>> scproto.SCPROTO.setup_anndata(adata, batch_key="lab")
    >>> model = scproto.SCPROTO(adata, n_prototypes=30)
    >>> model.train()
    >>> metacells = model.get_metacells(label_keys=["cell_type"])

    References
    ----------
    scProto, LMRL workshop at ICLR 2025.
    """

    module: PrototypeModule

    def __init__(
        self,
        adata: AnnData | None = None,
        registry: dict[str, Any] | None = None,
        *,
        n_prototypes: int | Literal["auto"] = "auto",
        n_latent: int = 16,
        n_hidden: int = 256,
        seed: int = 0,
        **module_kwargs: Any,
    ) -> None:
        habits.check_model_arguments(SCPROTO, module_kwargs)
        if adata is None and registry is None:
            raise InputError("SCPROTO needs cells: give adata, after SCPROTO.setup_anndata(adata).")
        seed, n_latent, n_hidden = (
            check_seed(seed),
            check_whole("n_latent", n_latent),
            check_whole("n_hidden", n_hidden),
        )
        super().__init__(adata, registry)
        if adata is not None:
            self.reader = Reader.of_prepared(adata, self.registry_["setup_args"]["layer"])
        else:
            self.reader = Reader.from_json(self.registry_[_keys.UNS])
        n_prototypes = int(n_prototypes) if adata is None else choose_n_prototypes(n_prototypes, adata.n_obs)
        self.seed = seed
        self.annotations: dict[str, Annotation] = {}
        self.init_params_ = {
            "n_prototypes": n_prototypes,
            "n_latent": n_latent,
            "n_hidden": n_hidden,
            "seed": seed,
            **module_kwargs,
        }
        n_genes, n_groups = len(self.reader.genes), self.reader.n_groups
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module = PrototypeModule(
                n_genes, n_groups, n_prototypes, n_latent=n_latent, n_hidden=n_hidden, **module_kwargs
            )
        self.module.eval()
        sizes = f"{n_prototypes} prototypes, {len(self.reader.batches)} batches, {n_genes} genes"
        self._model_summary_string = f"SCPROTO: {sizes}"

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        layer: str | None = None,
        batch_key: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Register prepared cells for the model.

        Parameters
        ----------
        adata
            Cells after :func:`scproto.pp.prepare`.
        layer
            Layer with the counts; by default the one that ``prepare`` used.
        batch_key
            Batch key; it must be the one that was given to ``prepare``.
        **kwargs
            Arguments that scvi-tools passes when it registers cells like earlier ones.

        Raises
        ------
        InputError
            If ``prepare`` was not run, or with another batch key, or if an argument is unknown.
        """
        habits.check_setup_arguments(cls.setup_anndata, kwargs)
        layer = Reader.check_prepared(adata, layer, batch_key)
        setup_method_args = cls._get_setup_method_args(cls=cls, adata=adata, layer=layer)
        fields = [
            # scproto has checked the counts
            LayerField(REGISTRY_KEYS.X_KEY, layer, is_count_data=False, correct_data_format=False),
            CategoricalObsField(REGISTRY_KEYS.BATCH_KEY, _keys.BATCH),
        ]
        manager = AnnDataManager(fields=fields, setup_method_args=setup_method_args)
        manager.register_fields(adata, **kwargs)
        cls.register_manager(manager)

    def train(
        self,
        max_steps: int | None = None,
        *,
        batch_size: int = 256,
        learning_rate: float = 4e-3,
        early_stopping: bool = True,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        checkpoint: str | Path | Checkpoint | None = None,
        resume_from: str | Path | None = None,
        source: CellSource | None = None,
        enable_progress_bar: bool = True,
        **trainer_kwargs: Any,
    ) -> None:
        """Learn the embedding and the prototypes.

        Parameters
        ----------
        max_steps
            Number of minibatches. By default 60 passes over the cells, but at least 1,000 steps, and at most the
            largest of 2,000 steps, eight steps per prototype and two passes.
        batch_size
            Cells per minibatch.
        learning_rate
            Peak learning rate of the one-cycle schedule.
        early_stopping
            Whether to stop when the loss has not fallen for a quarter of the training.
        accelerator
            Accelerator as in Lightning, for example ``"cpu"`` or ``"gpu"``.
        devices
            Device to train on, as in Lightning: ``[1]`` is the second GPU. Only one device is used.
        checkpoint
            File that keeps the state of the training. It is written between two epochs, at most once per minute; an
            epoch is a fortieth of the steps. :class:`scproto.train.Checkpoint` sets another interval.
        resume_from
            Such a file, from which to continue. With the same cells, settings, machine and number of threads, the model
            equals one whose training was not stopped to the last bit.
        source
            Source to read the cells from instead of ``adata``. It must give the same cells in the same order; see
            :class:`scproto.data.source.CellSource`.
        enable_progress_bar
            Whether to show the progress bar of scvi-tools.
        **trainer_kwargs
            Arguments of :class:`scvi.train.Trainer`. For Lightning, an epoch is one batch with manual optimisation:
            batch hooks are called once per epoch, and gradients are neither clipped nor accumulated.

        Raises
        ------
        InputError
            If the cells have no neighbours (run :func:`scproto.pp.prepare` then), there are more prototypes than cells,
            an argument is unknown or out of range, or the checkpoint is damaged or belongs to another training.
        KeyboardInterrupt
            On Ctrl-C. The model is then as it was before, as after any error.
        """
        habits.check_train_arguments(self.train, trainer_kwargs)
        habits.check_accelerator(accelerator)
        learning_rate, batch_size = check_number("learning_rate", learning_rate), check_whole("batch_size", batch_size)
        max_steps = None if max_steps is None else check_whole("max_steps", max_steps)
        checkpoint = Checkpoint(checkpoint) if isinstance(checkpoint, str | Path) else checkpoint
        state = None if resume_from is None else TrainingState.load(resume_from)
        self._check_enough_cells()
        within = self.reader.neighbors(self.adata)
        if source is None:
            source = self.cells()
        check_source(source, len(within), len(self.reader.genes), self.reader.n_groups)
        with self._unchanged_by_failure():
            self._own_placement = None
            learn(
                self,
                self.module,
                source,
                within,
                seed=self.seed,
                max_steps=max_steps,
                batch_size=batch_size,
                learning_rate=learning_rate,
                state=state,
                checkpoint=checkpoint,
                accelerator=accelerator,
                devices=habits.one_device(devices),
                early_stopping=early_stopping,
                enable_progress_bar=enable_progress_bar,
                **trainer_kwargs,
            )
            self.trainer = None
            self._own_placement = self._cells_or_own(None), settle(self.module, source, self.seed)

    def _check_enough_cells(self) -> None:
        """Refuse to train with fewer cells than prototypes."""
        n_cells, n_prototypes = self._cells_or_own(None).n_obs, len(self.module.prototypes)
        if n_cells < n_prototypes:
            raise InputError(
                f"{n_cells} cells cannot train {n_prototypes} prototypes: attach more cells, or use fewer prototypes."
            )

    @contextmanager
    def _unchanged_by_failure(self) -> Iterator[None]:
        """Restore the model if the block fails, by an error or by Ctrl-C."""
        module, trained, history = copy.deepcopy(self.module), self.is_trained_, copy.copy(self.history)
        placement = self._own_placement
        try:
            yield
        except BaseException:
            self.module, self.is_trained_, self.history_, self.trainer = module, trained, history, None
            self._own_placement = placement
            raise

    def save(self, dir_path: str | Path, overwrite: bool = False) -> None:
        """Write the model into a folder: weights as safetensors, everything else as JSON, no pickle.

        Parameters
        ----------
        dir_path
            Folder to create.
        overwrite
            Whether to replace a model that is already there.

        Raises
        ------
        InputError
            If the folder exists and may not be replaced, or cannot be written to.
        OSError
            If the disk is full or fails.
        """
        settings = {
            "init": self.init_params_,
            "registry": {**self.registry_, _keys.UNS: self.reader.to_json()},
            "is_trained": self.is_trained_,
            "history": history_to_json(self.history_),
        }
        write_model(dir_path, self.module, settings, list(self.annotations.values()), overwrite=overwrite)

    @classmethod
    def load(cls, dir_path: str | Path, adata: AnnData | None = None) -> Self:
        """Read a model that :meth:`save` wrote.

        Parameters
        ----------
        dir_path
            Folder of the model.
        adata
            Cells to attach; they need the model's genes and batches. If none are attached, pass ``adata`` to the
            methods.

        Returns
        -------
        model : SCPROTO
            The model. Its results equal those before saving to the last bit.

        Raises
        ------
        InputError
            If the folder holds no model or a damaged one, or the cells do not fit the model.
        """
        settings = read_settings(dir_path, habits.model_arguments(cls))
        with reading(dir_path):
            model = cls(registry=settings["registry"], **settings["init"])
            model.history_ = history_from_json(settings["history"])
        read_weights(dir_path, model.module)
        model.annotations = read_annotations(dir_path, settings)
        model.is_trained_ = settings["is_trained"]
        if adata is not None:
            model.reader.mark(adata)
            model.adata = adata
        return model
