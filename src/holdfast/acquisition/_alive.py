"""Whether the process lives that a producer's folder belongs to."""

import json
import time
from pathlib import Path

from holdfast._process import Identity, is_alive
from holdfast.acquisition._format import LOCK
from holdfast.journal import writer_lives

_STARTING = 1.0
"""Seconds within which a program that was started runs, or is gone."""

_WAIT = 0.002


def producer_lives(producer: Path) -> bool:
    """Tell whether a producer lives, as its lock says.

    A process that is killed while it starts another one leaves its lock to that, which lets go of
    it when its own program begins: 10 to 30 ms later on a busy machine. So a lock that is held
    while the process it names is gone is waited for.
    """
    deadline = time.monotonic() + _STARTING
    while writer_lives(producer):
        if not _is_gone(producer) or time.monotonic() > deadline:
            return True
        time.sleep(_WAIT)
    return False


def _is_gone(producer: Path) -> bool:
    try:
        named = json.loads((producer / LOCK).read_bytes())
    except (OSError, ValueError):  # not written yet
        return False
    identity = Identity.from_dict(named) if isinstance(named, dict) else None
    return identity is not None and is_alive(identity) is False
