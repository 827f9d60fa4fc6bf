"""The stores that are active: a stack for each thread, as ``with store:`` blocks are nested."""

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.store._contract import AbstractStore

_stack: "ContextVar[tuple[AbstractStore, ...]]" = ContextVar("holdfast_stores", default=())


def push(store: "AbstractStore") -> None:
    """Make a store the active one of this thread."""
    _stack.set((*_stack.get(), store))


def drop(store: "AbstractStore") -> None:
    """End the last block of a store, even if others were entered since and not left."""
    stack = list(_stack.get())
    for index in reversed(range(len(stack))):
        if stack[index] is store:
            del stack[index]
            break
    _stack.set(tuple(stack))


def top() -> "AbstractStore | None":
    """Return the active store of this thread, if there is one."""
    stack = _stack.get()
    return stack[-1] if stack else None
