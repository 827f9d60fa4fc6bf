"""What the user passes as parameters, merged left to right into one dictionary.

A part is a dictionary (``"solver.dt"`` as a key means the same as nested ones), a dataclass or
pydantic model, or a *version*: ``"~fast"`` or ``"~scaled(2)"``, a named set of parameters that the
task declares.
"""

import ast
from collections.abc import Callable, Mapping
from typing import Any

from holdfast._names import listing, nearest
from holdfast.canonical import MAX_DEPTH, config_values
from holdfast.errors import InvalidInputError

Version = Mapping[str, Any] | Callable[..., Mapping[str, Any]]


def merged(params: Any, versions: Mapping[str, Version], where: str) -> dict[str, Any]:
    """Return parameters as one dictionary.

    Parameters
    ----------
    params : None, mapping, config, text, or sequence of these
        The parts; later ones win.
    versions : mapping
        The versions of the task by name.
    where : str
        Name of the task, for messages.

    Raises
    ------
    InvalidInputError
        If a part is something else, or a version is unknown.
    """
    parts = params if isinstance(params, list | tuple) else [params]
    result: dict[str, Any] = {}
    for part in parts:
        _update(result, _part(part, versions, where))
    return result


def _part(part: Any, versions: Mapping[str, Version], where: str) -> dict[str, Any]:
    if part is None:
        return {}
    if isinstance(part, str):
        return _nested(_expanded(part, versions, where), where)
    values = part if isinstance(part, Mapping) else config_values(part)
    if values is None:
        raise InvalidInputError(
            f"parameters of {where} are given as a dictionary, a dataclass, or a list of these, "
            f"not as {type(part).__name__}: {part!r:.60}"
        )
    return _nested(values, where)


def _nested(flat: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Turn dotted names of parameters into nested dictionaries."""
    result: dict[str, Any] = {}
    for key, value in flat.items():
        if not isinstance(key, str) or not all(key.split(".")):
            raise InvalidInputError(
                f"{where}: a parameter is named by text, with dots between names, not by {key!r}"
            )
        for name in reversed(key.split(".")[1:]):
            value = {name: value}  # noqa: PLW2901 - wrapped from the inside
        _update(result, {key.partition(".")[0]: value})
    return result


def _update(into: dict[str, Any], new: Mapping[str, Any], depth: int = 0) -> None:
    for key, value in new.items():
        old = into.get(key)
        # What is deeper contains itself, perhaps, and is refused when it is resolved.
        if isinstance(old, Mapping) and isinstance(value, Mapping) and depth <= MAX_DEPTH:
            into[key] = dict(old)
            _update(into[key], value, depth + 1)
        else:
            into[key] = value


def _expanded(text: str, versions: Mapping[str, Version], where: str) -> Mapping[str, Any]:
    if not text.startswith("~"):
        raise InvalidInputError(
            f"{where}: {text!r} is no version; versions are written '~name', parameters as a "
            "dictionary"
        )
    name, arguments, keywords = _call(text[1:], where)
    if name not in versions:
        raise InvalidInputError(
            f"{where} has no version {name!r}; it has {listing(versions)}{nearest(name, versions)}"
        )
    version = versions[name]
    if isinstance(version, Mapping):
        if arguments or keywords:
            raise InvalidInputError(f"{where}: version {name!r} takes no arguments")
        return version
    try:
        return version(*arguments, **keywords)
    except TypeError as error:
        raise InvalidInputError(f"{where}: {text!r}: {error}") from error


def _call(text: str, where: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Read ``name`` or ``name(1, b=2)``; arguments are literals, and nothing is evaluated."""
    try:
        node = ast.parse(text, mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, [], {}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            keywords = {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg}
            return node.func.id, [ast.literal_eval(a) for a in node.args], keywords
    except (SyntaxError, ValueError):
        pass
    raise InvalidInputError(
        f"{where}: '~{text}' cannot be read; write '~name' or '~name(1, b=2.5)' with plain values"
    )
