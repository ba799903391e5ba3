"""Limits of a process of ours, below those that it was started under: a hard limit cannot be raised again."""

from __future__ import annotations

import resource


def allowed(limit: int, wanted: int) -> int:
    """``wanted``, or what is possible of it under the hard limit in force."""
    hard = resource.getrlimit(limit)[1]
    if hard == resource.RLIM_INFINITY or hard > wanted:
        return wanted
    # the kernel says why it kills at the soft limit of CPU time, and not at the hard one
    return max(hard - 1, 1) if limit == resource.RLIMIT_CPU else hard


def take(limit: int, soft: int, hard: int) -> None:
    """Take a limit on, as far as the one in force is not lower."""
    inherited = resource.getrlimit(limit)[1]
    if inherited != resource.RLIM_INFINITY:
        hard = min(hard, inherited)
    resource.setrlimit(limit, (min(allowed(limit, soft), hard), hard))
