"""The canonical form of parameters, its text, and the hash of that text."""

import enum
import hashlib
import json
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from holdfast._plain import dump_json, fields_as_value, to_plain
from holdfast.canonical._cast import config_values
from holdfast.errors import InvalidInputError

MAX_DEPTH = 80
"""How deep parameters may be nested: less than the files of a run can hold."""

HEX_DIGITS = 32
"""Length of an identity: 128 bits, so that no two of any number of runs meet by chance."""


def canonical(value: Any, where: str) -> Any:
    """Turn a parameter into the plain data that its identity is made from.

    Besides what `to_plain` does, tuples become lists, ``-0.0`` becomes ``0.0``, and of a dataclass
    only the fields that its constructor takes count.

    Parameters
    ----------
    value : Any
        What to convert; it is not changed.
    where : str
        What it is, for messages: ``"simulate: dt"``.

    Raises
    ------
    InvalidInputError
        If a part is NaN, which equals nothing, not even itself; if a key is no text; if a part has
        no plain form; or if it is nested too deeply.
    """
    return _canonical(value, where, 0)


def _canonical(value: Any, where: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise InvalidInputError(
            f"{where[:MAX_DEPTH]}… is nested deeper than {MAX_DEPTH} levels (does it contain "
            "itself?)"
        )
    if isinstance(value, enum.Enum):
        return _canonical(value.value, where, depth + 1)
    config = config_values(value)
    if config is not None:
        return _canonical(config, where, depth)
    if isinstance(value, Mapping):
        return _mapping(value, where, depth)
    if isinstance(value, list | tuple):
        return [_canonical(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, AbstractSet):
        each = (_canonical(item, where, depth + 1) for item in value)
        return sorted(each, key=canonical_text)
    if isinstance(value, complex | np.complexfloating):
        parts = _number(float(value.real), where), _number(float(value.imag), where)
        return to_plain(complex(*parts), where)
    plain = to_plain(value, where)
    if isinstance(plain, list):
        return _canonical(plain, where, depth)
    if isinstance(plain, str):
        _check_text(plain, where)
    return _number(plain, where) if isinstance(plain, float) else plain


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(
            f"{where} holds half a character (is it a file name that is not UTF-8?), which the "
            "files of a run cannot keep; pass os.fsencode(...).hex() of it"
        ) from None


def _number(value: float, where: str) -> float:
    if math.isnan(value):
        raise InvalidInputError(
            f"{where} is NaN, which is not equal to itself, so its run could never be found again; "
            "use None where there is no number"
        )
    return value or 0.0  # -0.0 equals 0.0


def _mapping(value: Mapping[Any, Any], where: str, depth: int) -> dict[str, Any]:
    plain = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidInputError(
                f"{where} has the key {key!r} of type {type(key).__name__}; use text as keys, "
                "since 1 and '1' could not be told apart"
            )
        _check_text(key, f"a key of {where}")
        plain[str(key)] = _canonical(item, f"{where}[{key!r}]", depth + 1)
    return fields_as_value(plain)


def canonical_text(plain: Any) -> str:
    """Return the one text of a canonical value: JSON in ASCII, keys sorted, without spaces.

    Numbers are written as Python does: the shortest text that reads back as the same number.
    """
    strict = json.loads(dump_json(plain, indent=0))
    return json.dumps(strict, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def identity(
    task: str, params: Mapping[str, Any], *, replicate: int = 0, seed: int | None = None
) -> str:
    """Return the identity of a run: 32 lower-case hexadecimal digits.

    Parameters
    ----------
    task : str
        Full name of the task.
    params : mapping
        Resolved parameters in canonical form.
    replicate : int
        Which of several runs with the same parameters.
    seed : int, optional
        The seed, where it was asked for.

    Returns
    -------
    str
        The BLAKE2b hash of 16 bytes of the canonical text of all four.
    """
    hashed = {"task": task, "params": dict(params), "replicate": replicate, "seed": seed}
    text = canonical_text(hashed).encode("ascii")
    return hashlib.blake2b(text, digest_size=HEX_DIGITS // 2).hexdigest()
