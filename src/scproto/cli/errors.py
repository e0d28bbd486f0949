"""Errors of all commands: each ends in one sentence and an exit code."""

from __future__ import annotations

import errno
import platform
import tempfile
import traceback
from pathlib import Path
from uuid import uuid4

from .._errors import InputError
from .console import say_error

DEFECT, BAD_INPUT, NO_MEMORY, IO_ERROR, INTERRUPTED, HANGUP, TERMINATED = 1, 2, 71, 74, 130, 129, 143
"""Exit codes: 71 and 74 as in sysexits.h, and those from 129 on are 128 plus the number of the signal."""

MENDS = {
    errno.ENOSPC: "make room, or write to another disk",
    errno.EDQUOT: "make room, or write to another disk",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.EROFS: "write to a disk that is not read-only",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.EIO: "check the disk",
}
"""What to do about a system error, by its number."""


def explain(error: BaseException) -> int:
    """Print what went wrong and what was kept, and return the exit code."""
    code, message = _explanation(error)
    say_error(" ".join([message, *getattr(error, "__notes__", ())]))
    return code


def _explanation(error: BaseException) -> tuple[int, str]:
    if isinstance(error, InputError):
        return BAD_INPUT, str(error)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "Interrupted." if hasattr(error, "__notes__") else "Interrupted: nothing was written."
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's error
        return NO_MEMORY, "There is not enough memory: close other programs, or use fewer cells or genes."
    if isinstance(error, OSError):
        return IO_ERROR, _of_system(error)
    return DEFECT, _defect(error)


def _of_system(error: OSError) -> str:
    reason = error.strerror or (str(error).splitlines() or [type(error).__name__])[0]
    where = f" ({error.filename})" if error.filename else ""
    mend = MENDS.get(error.errno or 0)
    return f"{reason}{where}{f': {mend}' if mend else ''}."


def _defect(error: BaseException) -> str:
    """Write the traceback to a file, and return a message that names the file."""
    from .._versions import library_versions

    reason = (str(error).splitlines() or [""])[0]
    said = f"This is a bug in scproto ({type(error).__name__}: {reason})"
    lines = [f"{name} {version}" for name, version in library_versions().items()]
    text = "\n".join([platform.platform(), *lines, "", *traceback.format_exception(error)])
    log = Path(tempfile.gettempdir()) / f"scproto-{uuid4().hex[:8]}.log"
    try:
        log.write_text(text, encoding="utf-8")
    except OSError:
        return f"{said}. Please report it."
    return f"{said}. Please report it with the log in {log}."
