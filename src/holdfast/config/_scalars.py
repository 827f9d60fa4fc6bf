"""YAML texts: scalars as they stand in the file, and what they mean where no type says it.

YAML 1.1 reads ``no`` as false, ``1e-3`` as text, ``010`` as eight and ``2024-01-01`` as a date. So
plain scalars are loaded as `Plain` text, and the annotated type decides. Where none does, the core
schema of YAML 1.2 holds: ``true`` and ``false`` alone are booleans, dates are text.
"""

import re
from typing import Any

import yaml

from holdfast._yaml import LOADER, check_depth
from holdfast.errors import FormatError

_MERGE = "tag:yaml.org,2002:merge"

NULLS = frozenset(["", "~", "null", "Null", "NULL"])
TRUE = frozenset(["true", "yes", "on", "y"])
FALSE = frozenset(["false", "no", "off", "n"])
_INT = re.compile(r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}


class Plain(str):
    """A scalar without quotes and tag, as it stands in the file."""

    __slots__ = ()


class _Texts(LOADER):  # type: ignore[misc]  # PyYAML's loader is chosen at run time
    """Loads scalars as texts, and refuses keys that stand twice."""

    yaml_implicit_resolvers = {"<": [(_MERGE, re.compile("^(?:<<)$"))]}  # noqa: RUF012 - as PyYAML's

    def construct_text(self, node: yaml.ScalarNode) -> str:
        return str(node.value) if node.style else Plain(node.value)

    def construct_checked_mapping(self, node: yaml.MappingNode) -> Any:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.tag != _MERGE and isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands twice", key.start_mark
                    )
                seen.add(key.value)
        mapping: dict[Any, Any] = {}
        yield mapping
        self.flatten_mapping(node)
        mapping.update(super().construct_mapping(node, deep=True))


_Texts.add_constructor("tag:yaml.org,2002:str", _Texts.construct_text)
_Texts.add_constructor("tag:yaml.org,2002:map", _Texts.construct_checked_mapping)


def load_texts(content: bytes, where: str) -> Any:
    """Read YAML; scalars come as `Plain` where they have neither quotes nor tag.

    Raises
    ------
    FormatError
        If it is not YAML, holds a key twice, or a tag that could run code.
    """
    loader = _Texts(content)
    try:
        check_depth(content)
        return loader.get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise FormatError(f"{where} is not valid YAML: {error}") from None
    finally:
        loader.dispose()


def as_int(text: str) -> int | None:
    """Return the whole number a scalar stands for; ``010`` is ten, as people mean it."""
    if not _INT.fullmatch(text):
        return None
    digits = text.replace("_", "")
    return int(digits, 0) if digits[:2] in ("0x", "0o", "0b") else int(digits)


def as_float(text: str) -> float | None:
    """Return the number a scalar stands for; ``1e-3`` is one."""
    special = _SPECIAL.get(text.lower())
    if special is not None:
        return float(special)
    return float(text.replace("_", "")) if _FLOAT.fullmatch(text) else None


def as_bool(text: str) -> bool | None:
    """Return the truth a scalar stands for, in any of the words of YAML 1.1."""
    lower = text.lower()
    return True if lower in TRUE else False if lower in FALSE else None


def resolved(value: Any) -> Any:
    """Give plain scalars the meaning they have in YAML 1.2, at any depth."""
    if isinstance(value, Plain):
        return _meaning(value)
    if isinstance(value, dict):
        return {resolved(key): resolved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item) for item in value]
    return value


def _meaning(text: str) -> Any:
    if text in NULLS:
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    for reading in (as_int, as_float):
        number = reading(text)
        if number is not None:
            return number
    return str(text)
