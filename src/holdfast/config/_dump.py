"""To YAML: plain data in a form that YAML 1.1 and 1.2 readers take for the same."""

import ast
import base64
import dataclasses
import enum
import inspect
import itertools
import re
import textwrap
import typing
from collections import abc
from typing import Any

import yaml

from holdfast._plain import dump_json, to_plain
from holdfast._yaml import DUMPER
from holdfast.errors import InvalidInputError

_WIDTH = 96


class _Careful(DUMPER):  # type: ignore[misc]  # PyYAML's dumper is chosen at run time
    """Quotes text that a reader of YAML 1.2 would take for a number, and shares no nodes."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


_Careful.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^(?:[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|0o[0-7_]+)$"),
    list("-+.0123456789"),
)


def plain_value(value: Any, where: str) -> Any:
    """Return a value as YAML holds it: as `to_plain`, but with keys that are numbers, and bytes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain_fields(value, where)
    if isinstance(value, enum.Enum):
        return plain_value(value.value, where)
    if isinstance(value, abc.Mapping):
        return {_key(key, where): plain_value(v, f"{where}.{key}") for key, v in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_asdict"):
        return [plain_value(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, set | frozenset):
        return _sorted([plain_value(item, where) for item in value])
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, complex) or getattr(getattr(value, "dtype", None), "kind", "") == "c":
        return _complex(value)
    return to_plain(value, where)


def plain_fields(value: Any, where: str) -> dict[str, Any]:
    """Return the fields of a dataclass instance as plain data, in their order."""
    return {
        field.name: plain_value(getattr(value, field.name), f"{where}.{field.name}")
        for field in dataclasses.fields(value)
    }


def _complex(value: Any) -> Any:
    items = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(items, list):
        return [_complex(item) for item in items]
    return str(items)


def _key(key: Any, where: str) -> Any:
    plain = plain_value(key, where)
    if isinstance(key, tuple) and isinstance(plain, list):
        return dump_json(to_plain(plain, where), indent=0).decode().strip()
    if isinstance(plain, list | dict):
        raise InvalidInputError(
            f"{where} has the key {key!r}, which YAML cannot hold as a key; use text, numbers, "
            "paths, enums or tuples as keys"
        )
    return plain


def _sorted(items: list[Any]) -> list[Any]:
    try:
        return sorted(items)
    except TypeError:  # of several types
        return sorted(items, key=repr)


def dump_yaml(plain: Any, where: str) -> str:
    """Write plain data as YAML text.

    Raises
    ------
    InvalidInputError
        If it holds text that is not valid Unicode.
    """
    try:
        text = yaml.dump(
            plain,
            Dumper=_Careful,
            default_flow_style=False,
            sort_keys=False,
            allow_unicode=True,
            width=_WIDTH,
        )
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(
            f"{where} holds text that is not valid Unicode, which YAML cannot keep; use to_json()"
        ) from None
    return str(text)


def dump_commented(value: Any, where: str) -> str:
    """Write a dataclass instance as YAML with the documentation of each field above it."""
    lines: list[str] = []
    documented = field_docs(type(value))
    for field in dataclasses.fields(value):
        doc = documented.get(field.name, "")
        comment = [f"# {line}" for line in textwrap.wrap(doc, _WIDTH)]
        item = getattr(value, field.name)
        place = f"{where}.{field.name}"
        if dataclasses.is_dataclass(item) and dataclasses.fields(item):
            body = f"{field.name}:\n" + textwrap.indent(dump_commented(item, place), "  ")
        else:
            body = dump_yaml({field.name: plain_value(item, place)}, where)
        lines += [*comment, body.rstrip("\n")]
    return "\n".join(lines) + "\n" if lines else "{}\n"


def field_docs(kind: type) -> dict[str, str]:
    """Return what is said of each field.

    Taken are ``field(metadata={"doc": ...})``, text in ``Annotated[...]``, and a string that
    stands below the field.
    """
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if dataclasses.is_dataclass(base):
            docs |= _strings_below(base)
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        for extra in getattr(hints[field.name], "__metadata__", ()):
            text = extra if isinstance(extra, str) else getattr(extra, "documentation", None)
            if isinstance(text, str):
                docs[field.name] = text
        for key in ("doc", "help", "description"):
            if key in field.metadata:
                docs[field.name] = str(field.metadata[key])
    return {name: inspect.cleandoc(text) for name, text in docs.items()}


def _strings_below(kind: type) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError, SyntaxError):  # made at a prompt, or without a source file
        return {}
    body = getattr(tree.body[0], "body", [])
    docs = {}
    for this, below in itertools.pairwise(body):
        if isinstance(this, ast.AnnAssign) and isinstance(this.target, ast.Name):
            text = below.value if isinstance(below, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                docs[this.target.id] = text.value
    return docs
