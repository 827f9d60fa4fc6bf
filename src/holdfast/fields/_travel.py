"""What worker processes are sent: the function, and a storage from which they read."""

import dataclasses
import importlib
import math
import os
import pickle
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.fields._parallel import Task

OWN_BYTES = 1 << 20
"""A storage that is sent is a description; a larger one has its fields in it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Packed:
    """A task on its way.

    Attributes
    ----------
    content : bytes
        The task.
    needs_main : bool
        Whether it needs the program's main file.
    reads : bool
        Whether it reads the fields by itself.
    bytes_each : int
        Bytes of a field.
    """

    content: bytes
    needs_main: bool
    reads: bool
    bytes_each: int


def packed(task: "Task") -> Packed | None:
    """Return a task that can be sent, None if it cannot."""
    found = travelling(task)
    return found if isinstance(found, Packed) else None


def travelling(task: "Task") -> Packed | str:
    """Return a task that can be sent, or why it cannot."""
    if os.name != "posix":
        return "workers are given an open connection, which only POSIX systems do"
    reading = _reading(task)
    found = _pickled(reading)
    if isinstance(found, str):
        return found
    content, needs_main = found
    layout = task.storage.layout if task.storage is not None else None
    each = 0 if layout is None else math.prod(layout.shape) * layout.dtype.itemsize
    return Packed(content, needs_main, reading.storage is not None, each)


def _reading(task: "Task") -> "Task":
    """Return the task with its storage if others can open it, else without."""
    storage: Any = task.storage
    if not hasattr(getattr(storage, "storage", storage), "filename"):  # also of a view
        return dataclasses.replace(task, storage=None)
    try:
        content = pickle.dumps(storage)
        pickle.loads(content)  # noqa: S301 - made in the line above
    except Exception:  # noqa: BLE001 - a user's own storage may do anything when it travels
        return dataclasses.replace(task, storage=None)
    return task if len(content) < OWN_BYTES else dataclasses.replace(task, storage=None)


def _pickled(task: "Task") -> tuple[bytes, bool] | str:
    """Return a task as bytes, and whether the main file is needed to read them; or why not."""
    try:
        content = pickle.dumps(task, protocol=5)
        needs_main = b"__main__" in content
        if not needs_main or getattr(sys.modules["__main__"], "__file__", None):
            return content, needs_main
        why = "it is defined in an interactive session"
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        why = str(error)
    try:
        # With it, functions that have no place in a module travel as their code.
        by_value: bytes = importlib.import_module("cloudpickle").dumps(task)
    except ImportError:
        return why
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        return str(error)
    return by_value, False
