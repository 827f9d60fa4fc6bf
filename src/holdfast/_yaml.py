"""YAML texts of data, read safely: no tag makes more than data, no depth crashes the reader."""

from typing import Any

import yaml

from holdfast.errors import FormatError

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_MAX_DEPTH = 5000


def load_yaml(content: bytes, where: str) -> Any:
    """Read one document.

    Raises
    ------
    FormatError
        If it is not YAML, too deep, or holds a tag that could run code.
    """
    try:
        check_depth(content)
        return yaml.load(content, Loader=LOADER)  # noqa: S506 - a safe loader, the C one if any
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:  # the 32nd of May
        raise FormatError(f"{where} is not valid YAML: {error}") from None


def check_depth(content: bytes, most: int = _MAX_DEPTH) -> None:
    """Refuse what the loader, which recurses in C, could not read without crashing.

    Raises
    ------
    ValueError
        If it is nested deeper than `most`.
    yaml.YAMLError
        If it is not YAML.
    """
    # Deep blocks need indentation, whose size grows with its square; all else begins so:
    if sum(map(content.count, (b"[", b"{", b"- ", b"? "))) <= most:
        return
    depth = 0
    for event in yaml.parse(content, Loader=LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > most:
            raise ValueError(f"it is nested more than {most:,} deep")
