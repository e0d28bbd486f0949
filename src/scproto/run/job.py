"""Call a function in another process, which gets ready for the call while this one works."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from .memory import peak_memory


class Job:
    """Call a function in a process that has loaded and compiled everything before the call.

    numba takes longer to compile UMAP than a small layout takes. The process compiles on a core that training leaves
    idle. If it cannot start, for example for lack of memory, this process makes the call, with the same result.

    Parameters
    ----------
    function
        Function at the top level of a module; its arguments and its result are pickled.
    first
        Arguments of a first call, which loads and compiles the function; its result is dropped.

    Attributes
    ----------
    peak_memory
        Largest resident memory of the process in MiB, once it has ended; 0 if there was no process.
    """

    def __init__(self, function: Callable[..., Any], *first: Any) -> None:
        self._function, self._first = function, first
        self._process: Any = None
        self._args: tuple[Any, ...] = ()
        self.peak_memory = 0.0

    def __enter__(self) -> Self:
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with suppress(OSError):  # no process can be started
            self._process = subprocess.Popen([sys.executable, "-c", code], **pipes)
            self._send(self._function, self._first)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.peak_memory = peak_memory(self._process.pid)
            self._process.kill()
            with suppress(OSError):  # input that the process did not read
                self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait()

    def submit(self, *args: Any) -> None:
        """Start the call; without the process, :meth:`result` makes it."""
        self._args = args
        if self._process is not None:
            with suppress(OSError):  # the process has ended, which `result` will notice
                self._send(*args)

    def result(self) -> Any:
        """Return the result of the submitted call; errors of the function are raised here."""
        if self._process is None:
            return self._function(*self._args)
        try:
            result, error = pickle.load(self._process.stdout)
        except (
            EOFError,
            OSError,
            pickle.UnpicklingError,
        ):  # the process has ended, perhaps in the middle of its answer
            return self._function(*self._args)
        if error is not None:
            raise error
        return result

    def _send(self, *message: Any) -> None:
        pickle.dump(message, self._process.stdin)
        self._process.stdin.flush()


def serve() -> None:
    """Make the first call, then answer calls until the other process sends no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent process, which ends this one
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keep what libraries print out of the answers
    function, first = pickle.load(sys.stdin.buffer)
    function(*first)
    with suppress(EOFError):
        while True:
            args = pickle.load(sys.stdin.buffer)
            answer: tuple[Any, Exception | None]
            try:
                answer = function(*args), None
            except Exception as error:
                answer = None, error
            pickle.dump(answer, answers)
            answers.flush()
