"""``params.yaml`` and ``params.json``: the parameters of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from holdfast._names import check_label, inside
from holdfast._plain import (
    dump_json,
    fields_as_value,
    fields_to_plain,
    from_plain,
    load_json,
    to_plain,
)
from holdfast._yaml import DUMPER, load_yaml
from holdfast.errors import FormatError, InvalidInputError
from holdfast.run._layout import PARAMS


def dump_params(plain: dict[str, Any], ext: str) -> bytes:
    """Write parameters in the form that `ext` names.

    Raises
    ------
    InvalidInputError
        If `ext` is neither ``"yaml"`` nor ``"json"``, or YAML cannot hold a text.
    """
    value = fields_as_value(plain)
    if ext == "json":
        return dump_json(value)
    if ext != "yaml":
        raise InvalidInputError(
            f"params are saved with ext='yaml' or ext='json', not {ext!r}; a parameter that is "
            "itself called ext goes in as a dictionary: params({'ext': ...})"
        )
    try:
        content: bytes = yaml.dump(
            value, Dumper=DUMPER, sort_keys=False, allow_unicode=True, encoding="utf-8"
        )
    except UnicodeEncodeError:
        raise InvalidInputError(
            "params hold text that is not valid Unicode, which YAML cannot keep; use ext='json'"
        ) from None
    return content


def params_to_plain(params: Any) -> dict[str, Any]:
    """Turn what the user passes as parameters into plain data.

    Raises
    ------
    InvalidInputError
        If it is no mapping or dataclass instance, a value has no plain form, or a name is empty or
        holds control characters.
    """
    if params is None:
        return {}
    if isinstance(params, Mapping):
        fields = fields_to_plain(params, "params")
        for name in fields:
            check_label(name, "the parameter name")
        return fields
    plain = to_plain(params, "params")
    if not isinstance(plain, dict):
        raise InvalidInputError(
            f"params is a {type(params).__name__}; pass a dictionary or a dataclass instance"
        )
    return plain


def load_params(run: Path) -> dict[str, Any]:
    """Read the parameters of a run directory, ``{}`` if it has none.

    Raises
    ------
    FormatError
        If the file is damaged.
    """
    # Saving one form removes the other, perhaps between two looks: so the first is tried again.
    for ext in ("yaml", "json", "yaml"):
        path = inside(run, PARAMS[ext])
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        params = load_json(content, str(path)) if ext == "json" else _load_yaml(content, path)
        if not isinstance(params, dict):
            raise FormatError(f"{path} holds no mapping of parameters; restore it from a copy")
        return params
    return {}


def _load_yaml(content: bytes, path: Path) -> Any:
    value = load_yaml(content, str(path))
    try:
        return from_plain(value) if b"$" in content else value
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not valid YAML: {error}") from None
