"""Checks of arguments before any work, so that bad ones give one sentence and not an error from deep inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from math import inf
from numbers import Integral, Real
from typing import Any

from ._errors import InputError

MAX_SEED = 2**32 - 1
"""Largest seed that numpy, scikit-learn, torch and UMAP all accept."""


def check_seed(seed: Any) -> int:
    """Return a seed as an integer.

    Parameters
    ----------
    seed
        A whole number from 0 to 4294967295, of any type except bool.

    Raises
    ------
    InputError
        If the seed is anything else.
    """
    return check_whole("seed", seed, 0, MAX_SEED)


def is_whole(value: Any, low: int, high: int | None = None) -> bool:
    """Whether the value is a whole number in the range, of any type except bool."""
    whole = isinstance(value, Integral) or (isinstance(value, Real) and float(value).is_integer())
    if isinstance(value, bool) or not whole:
        return False
    number = int(value)
    return low <= number and (high is None or number <= high)


def check_whole(name: str, value: Any, low: int = 1, high: int | None = None) -> int:
    """Return a whole number of any type as an integer.

    Parameters
    ----------
    name
        Name of the argument, for the message.
    value
        Value of the argument.
    low, high
        Smallest and largest number that are allowed.

    Raises
    ------
    InputError
        If the value is not a whole number or out of range.
    """
    if is_whole(value, low, high):
        return int(value)
    span = f"of at least {low}" if high is None else f"from {low} to {high}"
    raise InputError(f"{name}={value!r} does not work: give a whole number {span}.")


def check_number(name: str, value: Any, *, zero: bool = False) -> float:
    """Return a positive number as a float.

    Parameters
    ----------
    name
        Name of the argument, for the message.
    value
        Value of the argument.
    zero
        Whether zero is allowed, too.

    Raises
    ------
    InputError
        If the value is not a number, negative or not finite.
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        if 0 < number < inf or (zero and number == 0):
            return number
    raise InputError(f"{name}={value!r} does not work: give a number {'of at least' if zero else 'above'} 0.")


def refuse_unknown(
    function: str,
    given: Iterable[str],
    takes: Iterable[str],
    *,
    instead: Mapping[str, str],
    also: Iterable[str] = (),
    whose: str = "",
) -> None:
    """Refuse arguments that a function does not have.

    Parameters
    ----------
    function
        Name of the function, for the message.
    given
        Names of the given arguments.
    takes
        Names of the function's own arguments, which the message lists.
    instead
        What to do instead of passing arguments that other libraries have, by the name of the argument.
    also, whose
        Names of further arguments that the function passes on, and the function that receives them.

    Raises
    ------
    InputError
        If a name is unknown; the message has the first such name and similar known names.
    """
    takes = list(takes)
    known = {*takes, *also} - set(instead)
    for name in given:
        if name in known:
            continue
        near = get_close_matches(name, sorted(known), n=2)
        if name in instead:
            mend = instead[name]
        elif near:
            mend = f"did you mean {' or '.join(map(repr, near))}?"
        else:
            mend = f"it takes {', '.join(takes)}{f' and the arguments of {whose}' if whose else ''}."
        raise InputError(f"{function} has no argument {name!r}: {mend}")
