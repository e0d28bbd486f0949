"""Atomic writing: an output is complete under its final name, or it is not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from ._errors import InputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file name that becomes `path` when the block ends well.

    The temporary file lies in the same folder and has the same suffix, since writers choose their format by
    it. An existing `path` is replaced only at the end; after an error it is as before.

    Parameters
    ----------
    path
        The file to write. Its folder must exist.

    Raises
    ------
    InputError
        If the folder does not exist or cannot be written.
    """
    path = Path(path).expanduser().resolve()
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file.")
    temporary = path.with_name(f".{path.stem}.{uuid4().hex[:8]}.tmp{path.suffix}")
    try:
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise InputError(_not_writable(path, error)) from error
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(
    path: str | Path,
    overwrite: bool = False,
    *,
    marker: str | None = None,
    written: Callable[[Path], set[str]] = lambda folder: set(),
    keep: bool = False,
) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` when the block ends well.

    After an error or an interrupt an older `path` is as before. The temporary folder lies beside `path`, or in the
    nearest folder above it that exists: folders that are missing are made at the very end.

    Parameters
    ----------
    path
        The folder to write.
    overwrite
        Replace an existing folder, once the new one is complete.
    marker
        A file that an existing folder must hold to be replaced, so that nobody's other data are deleted. An
        empty folder may always be replaced.
    written
        Tells which files in an existing folder may go when it is replaced, by their names relative to it. All others
        are carried over to the new folder.
    keep
        After an error or an interrupt, keep what is complete as ``<name>.incomplete``, and say so in a note of the
        error. Without it the temporary folder is removed.

    Raises
    ------
    InputError
        If `path` exists and may not be replaced, or if nothing can be written there.
    """
    path = Path(path).expanduser().resolve()
    _check_replaceable(path, overwrite, marker)
    temporary = nearest_folder(path) / f".{path.name}.{uuid4().hex[:8]}.tmp"
    try:
        temporary.mkdir()
    except OSError as error:
        raise InputError(_not_writable(path, error)) from error
    try:
        yield temporary
    except BaseException as error:
        if keep:
            _keep(temporary, path.name, error)
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _replace_folder(temporary, path, overwrite, written)


def nearest_folder(path: str | Path) -> Path:
    """The folder of a path or, if that does not exist yet, the nearest one above it that does."""
    return next(folder for folder in Path(path).expanduser().resolve().parents if folder.exists())


def _keep(temporary: Path, name: str, error: BaseException) -> None:
    """Give a folder with complete parts a name to be found by. What is written half has a dot before its name."""
    complete = sorted(part.name for part in temporary.iterdir() if not part.name.startswith("."))
    if not complete:
        return
    for half in temporary.glob(".*"):
        shutil.rmtree(half, ignore_errors=True) if half.is_dir() else half.unlink()
    kept = _free(temporary.with_name(f"{name}.incomplete"))
    temporary.rename(kept)
    error.add_note(f"What was complete is kept in {kept}: {', '.join(complete)}.")


def _free(path: Path) -> Path:
    """The path, or the first of path-2, path-3, ... that does not exist."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _check_replaceable(path: Path, overwrite: bool, marker: str | None) -> None:
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise InputError(f"{path} is a file, not a folder; choose another name.")
    if os.path.ismount(path):
        raise InputError(f"{path} is where another file system begins and cannot be replaced; choose a folder in it.")
    if not overwrite:
        raise InputError(f"{path} exists already; choose another folder or overwrite it (--overwrite).")
    if marker is not None and not (path / marker).is_file() and any(path.iterdir()):
        raise InputError(
            f"{path} holds no {marker}, so scproto did not write it and does not replace it; choose another folder."
        )


def _replace_folder(complete: Path, path: Path, overwrite: bool, written: Callable[[Path], set[str]]) -> None:
    """Move a complete folder to its final name. Should that fail, the complete folder is kept where it is."""
    retired = complete.with_suffix(".old")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if overwrite and path.exists():
            path.rename(retired)
        complete.rename(path)
    except OSError as error:
        found = _free(path.with_name(f"{path.name}-2")) if complete.exists() else complete
        with suppress(OSError):
            complete = complete.rename(found)
        reason = error.strerror or error
        raise InputError(f"The result could not be moved to {path} ({reason}); it is in {complete}.") from error
    finally:
        if retired.exists() and not path.exists():
            retired.rename(path)
    if retired.exists():
        try:
            _carry_over(retired, path, written(retired))
        except OSError as error:
            reason = error.strerror or error
            told = f"The new folder is {path}, but what else was in the old one is still in {retired} ({reason})."
            raise InputError(told) from error
        shutil.rmtree(retired, ignore_errors=True)


def _carry_over(retired: Path, path: Path, replaced: set[str]) -> None:
    """Move the files that nobody said may go from an old folder to the new one."""
    for file in [file for file in retired.rglob("*") if file.is_symlink() or not file.is_dir()]:
        name = file.relative_to(retired)
        if name.as_posix() not in replaced:
            place = _free(path / name)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.rename(place)


def _not_writable(path: Path, error: OSError) -> str:
    return f"Cannot write {path}: {error.strerror or error} (in {path.parent})."
