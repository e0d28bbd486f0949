"""Atomic writing: an output has its final name only if it is complete."""

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
    """Yield the path of a temporary file that becomes `path` if the block succeeds.

    The temporary file lies in the same folder and has the same suffix, because writers choose their format by the
    suffix. An existing file is replaced only at the end; after an error it stays as it was.

    Parameters
    ----------
    path
        The file to write. Its folder must exist.

    Yields
    ------
    temporary : pathlib.Path
        The temporary file.

    Raises
    ------
    InputError
        If `path` is a folder, or its own folder does not exist or cannot be written to.
    """
    path = Path(path).expanduser().resolve()
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the path of a file.")
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
    """Yield a temporary folder that becomes `path` if the block succeeds.

    After an error or an interrupt, an existing folder stays as it was. The temporary folder lies beside `path`, or in
    the nearest folder above it that exists; missing folders are created at the very end.

    Parameters
    ----------
    path
        The folder to write.
    overwrite
        Whether to replace an existing folder once the new one is complete.
    marker
        File that an existing folder must contain to be replaced, so that no other data are deleted by mistake. An
        empty folder may always be replaced.
    written
        Function that returns which files of an existing folder may be deleted when it is replaced, by their paths
        relative to that folder. All other files are moved to the new folder.
    keep
        Whether to keep the complete parts as ``<name>.incomplete`` after an error or an interrupt, and to say so in a
        note of the error. Otherwise the temporary folder is removed.

    Yields
    ------
    temporary : pathlib.Path
        The temporary folder.

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
    """The folder that holds a path or, if it does not exist yet, the nearest existing folder above it."""
    return next(folder for folder in Path(path).expanduser().resolve().parents if folder.exists())


def _keep(temporary: Path, name: str, error: BaseException) -> None:
    """Rename a folder with complete parts so that users find it. Incomplete parts have names that start with a dot."""
    complete = sorted(part.name for part in temporary.iterdir() if not part.name.startswith("."))
    if not complete:
        return
    for half in temporary.glob(".*"):
        shutil.rmtree(half, ignore_errors=True) if half.is_dir() else half.unlink()
    kept = _free(temporary.with_name(f"{name}.incomplete"))
    temporary.rename(kept)
    error.add_note(f"The complete parts are kept in {kept}: {', '.join(complete)}.")


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
        raise InputError(f"{path} is a mount point and cannot be replaced; choose a folder in it.")
    if not overwrite:
        raise InputError(f"{path} exists already; choose another folder or overwrite it (--overwrite).")
    if marker is not None and not (path / marker).is_file() and any(path.iterdir()):
        raise InputError(
            f"{path} holds no {marker}, so scproto did not write it and will not replace it; choose another folder."
        )


def _replace_folder(complete: Path, path: Path, overwrite: bool, written: Callable[[Path], set[str]]) -> None:
    """Move a complete folder to its final name. If that fails, keep the complete folder under another name."""
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
            raise InputError(
                f"The new folder is {path}, but other files of the old one are still in {retired} ({reason})."
            ) from error
        shutil.rmtree(retired, ignore_errors=True)


def _carry_over(retired: Path, path: Path, replaced: set[str]) -> None:
    """Move the files of an old folder to the new one, except those that are replaced."""
    for file in [file for file in retired.rglob("*") if file.is_symlink() or not file.is_dir()]:
        name = file.relative_to(retired)
        if name.as_posix() not in replaced:
            place = _free(path / name)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.rename(place)


def _not_writable(path: Path, error: OSError) -> str:
    return f"Cannot write {path}: {error.strerror or error} (in {path.parent})."
