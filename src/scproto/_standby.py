"""A function made ready by another process while this one works."""

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

from ._memory import peak_memory


class Standby:
    """Call a function in a process that has loaded and compiled what it needs before it is called.

    numba compiles UMAP for longer than a small layout takes. Here this happens on a core that a training leaves idle.
    Without the process (no memory for it, say) the call is made here: the result is the same.

    Parameters
    ----------
    function
        Function at the top of a module; its arguments and its result are pickled.
    first
        Arguments of a first call, which makes it ready; its result is dropped.

    Attributes
    ----------
    peak_memory
        Largest resident memory of the process in MiB, once it was ended; 0 without one.
    """

    def __init__(self, function: Callable[..., Any], *first: Any) -> None:
        self._function, self._first = function, first
        self._process: Any = None
        self._begun: bytes | None = None
        self.peak_memory = 0.0

    def __enter__(self) -> Self:
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with suppress(OSError):  # no process to be had
            self._process = subprocess.Popen([sys.executable, "-c", code], **pipes)
            self._send(pickle.dumps((self._function, self._first)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.peak_memory = peak_memory(self._process.pid)
            self._process.kill()
            with suppress(OSError):  # what it was not there to read
                self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait()

    def begin(self, *args: Any) -> None:
        """Begin a call; with the same arguments it is ended by calling. Without the process nothing is begun."""
        if self._process is not None and self._begun is None:
            self._begun = pickle.dumps(args)
            with suppress(OSError):  # it has ended, as the call will find
                self._send(self._begun)

    def __call__(self, *args: Any) -> Any:
        """Call the function; what it raises is raised here."""
        if self._process is None:
            return self._function(*args)
        try:
            result, error = self._answer(pickle.dumps(args))
        except (EOFError, OSError, pickle.UnpicklingError):  # it has ended, perhaps in the middle of its answer
            return self._function(*args)
        if error is not None:
            raise error
        return result

    def _answer(self, message: bytes) -> tuple[Any, Exception | None]:
        begun, self._begun = self._begun, None
        if begun not in (None, message):
            pickle.load(self._process.stdout)  # of a call that nobody ended
        if begun != message:
            self._send(message)
        answer: tuple[Any, Exception | None] = pickle.load(self._process.stdout)
        return answer

    def _send(self, message: bytes) -> None:
        self._process.stdin.write(message)
        self._process.stdin.flush()


def serve() -> None:
    """Be ready, then answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other process, which ends this one
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints gets among the answers
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
