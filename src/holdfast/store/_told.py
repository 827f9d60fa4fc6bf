"""What the metadata of a run say of its task."""

from typing import Any

from holdfast.canonical import canonical
from holdfast.errors import FormatError, InvalidInputError
from holdfast.run import LogReader


def told_task(reader: LogReader) -> dict[str, Any]:
    """Return what the metadata of a run say of its task.

    Raises
    ------
    FormatError
        If they say nothing that can be understood.
    """
    told = reader.meta.get("task")
    if not isinstance(told, dict) or not isinstance(told.get("name"), str):
        raise FormatError(f"{reader.path} is a run, but not one of a task; read it with LogReader")
    if not isinstance(told.get("params"), dict):
        raise FormatError(f"{reader.path} has lost the parameters of its task; restore it")
    return told


def told_params(reader: LogReader, told: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that the metadata of a run tell of its task, in canonical form.

    Raises
    ------
    FormatError
        If they have none, so that they must have been edited.
    """
    try:
        plain: dict[str, Any] = canonical(told["params"], "its parameters")
    except InvalidInputError as error:
        raise FormatError(f"{reader.path} was edited: {error}; restore it from a copy") from None
    return plain
