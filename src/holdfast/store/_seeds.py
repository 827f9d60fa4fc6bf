"""Seeds of random numbers, asked for or drawn, and numbers of replicates."""

import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from holdfast.errors import InvalidInputError

LIMIT = 2**32
"""NumPy takes no larger seed."""


def check_seed(seed: int) -> int:
    """Return a seed as a plain number.

    Raises
    ------
    InvalidInputError
        If it is no whole number of 32 bits.
    """
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= seed < LIMIT:
        raise InvalidInputError(f"seed must be a whole number from 0 to {LIMIT - 1}, not {seed!r}")
    return int(seed)


def check_replicate(replicate: int) -> int:
    """Return a replicate's number.

    Raises
    ------
    InvalidInputError
        If it is no whole number from 0 on.
    """
    if isinstance(replicate, bool) or not hasattr(replicate, "__index__") or replicate < 0:
        raise InvalidInputError(f"replicate must be a whole number from 0 on, not {replicate!r}")
    return int(replicate)


def draw() -> int:
    """Return a new seed."""
    return secrets.randbelow(2**31)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed `random` and NumPy's global generator in the block, and put them back after it."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global one
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002 - the global one
