"""Run ids of an experiment: readable, and different whenever the parameters are.

An id is ``<experiment>_<key>_<value>_...`` with keys sorted and floats to five digits. Where that
text would be the same for other values (``0.123456`` and ``0.123457``, ``"a b"`` and ``"a_b"``,
``1`` and ``"1"``), or is too long, a short hash of the exact parameters is added.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

MAX_READABLE = 120
"""Longest readable id, in bytes; beyond it the id is cut and hashed."""

_UNSAFE = re.compile(r"[^\w.+\-=,@()\[\]{}]", re.ASCII)
_LOOKS_HASHED = re.compile(r"-[0-9a-f]{16}\Z")
_LOOKS_LIKE_A_VALUE = re.compile(r"[+-]?(\d.*|\.\d.*|nan|inf)|True|False|None", re.IGNORECASE)


def run_id(experiment: str, plain: Mapping[str, Any], *, hashed: bool = False) -> str:
    """Return the run id for parameters.

    Parameters
    ----------
    experiment : str
        The experiment's name.
    plain : mapping
        Parameters as plain data.
    hashed : bool
        Whether to add the hash in any case, because the readable id is taken by others.
    """
    parts, exact = [experiment], True
    for key in sorted(plain):
        text = _text(plain[key])
        safe_key, safe_text = _UNSAFE.sub("_", key), _UNSAFE.sub("_", text)
        exact &= _is_exact(plain[key], text) and (safe_key, safe_text) == (key, text)
        parts.append(f"{safe_key}_{safe_text}")
    readable = "_".join(parts)
    if exact and not hashed and len(readable.encode()) <= MAX_READABLE:
        return readable
    cut = readable.encode()[:MAX_READABLE].decode("utf-8", "ignore")
    return f"{cut}-{digest(plain)}"


def _text(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _is_exact(value: Any, text: str) -> bool:
    if value is None or isinstance(value, bool | int):
        return True
    if isinstance(value, float):
        return float(text) == value or text in ("nan", "inf", "-inf")
    if not isinstance(value, str) or value == "":
        return False
    return not _LOOKS_LIKE_A_VALUE.fullmatch(value) and not _LOOKS_HASHED.search(value)


def digest(plain: Mapping[str, Any]) -> str:
    """Return sixteen hexadecimal digits of a hash of parameters.

    With 64 bits, two of a million ids that differ by the hash alone meet once in 30 million sweeps.
    """
    return hashlib.blake2b(same_text(plain).encode(), digest_size=8).hexdigest()


def same_text(plain: Any) -> str:
    """Return a text that two plain values share if and only if they are the same parameters.

    Keys are sorted, and a whole number is the same with and without its ``.0``.
    """
    return json.dumps(_normal(plain), sort_keys=True, ensure_ascii=True)


def _normal(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _normal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    return value


def holds(stored: Mapping[str, Any], plain: Mapping[str, Any]) -> bool:
    """Tell whether a run with `stored` parameters is the run of `plain` ones.

    A run may have added parameters of its own; those that it was made for must be there.
    """
    return all(key in stored for key in plain) and same_text(
        {key: stored[key] for key in plain}
    ) == same_text(plain)
