"""Signs that the prototypes of a training have collapsed."""

from __future__ import annotations

LEAST_USED = 0.75
"""Share of the prototypes in use below which they have collapsed: some lie on top of others."""


def describe_collapse(n_used: float, share_used: float) -> str | None:
    """Put a collapse of the prototypes into words.

    Parameters
    ----------
    n_used
        Number of prototypes that are the nearest of some cell.
    share_used
        This number, divided by the number if the cells were spread evenly over the prototypes.

    Returns
    -------
    sentence : str or None
        What is wrong and how to mend it; None if enough prototypes are in use.
    """
    if not share_used < LEAST_USED:
        return None
    return (
        f"Only {n_used:,.0f} prototypes are in use, {share_used:.0%} of those that evenly spread cells would use, "
        "because some prototypes lie on top of others. Use fewer prototypes (n_prototypes), or train longer "
        "(max_steps)."
    )
