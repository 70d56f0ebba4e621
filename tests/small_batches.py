"""Gives policies small batches, so that a small table takes many of them."""

from dataclasses import replace
from typing import TypeVar

from ops_pipeline.policies.model import Policy

Chosen = TypeVar("Chosen", bound=Policy)


def in_small_batches(policy: Chosen, *, blocks: int = 8, rows: int = 100) -> Chosen:
    """The same policy with at most that many blocks or rows in a batch, in the unit of its scan."""
    return replace(policy, throttle=replace(policy.throttle, most_blocks=blocks, most_rows=rows))
