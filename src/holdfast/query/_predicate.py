"""A tree to a function of a row, in logic of three values: true, false, and open."""

import operator
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from holdfast.query._parse import Column, Combine, Compare, Constant, Node, Not

Row = Mapping[str, Any]
_Truth = Callable[[Row], bool | None]

_TESTS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda item, container: item in container,
    "like": lambda text, pattern: isinstance(text, str) and fnmatchcase(text, pattern),
}


def predicate(node: Node) -> Callable[[Row], bool]:
    """Return a function that tells whether a row satisfies an expression."""
    truth = _truth(node)
    return lambda row: truth(row) is True


def _truth(node: Node) -> _Truth:
    """Return a function that gives True, False, or None where a missing value leaves it open."""
    match node:
        case Compare("is", left, _):
            value = _value(left)
            return lambda row: value(row) is None
        case Compare("in", left, Constant(tuple(several))):
            return _comparison(_among(several), _value(left), _value(Constant(several)))
        case Compare(op, left, right):
            return _comparison(_TESTS[op], _value(left), _value(right))
        case Not(part):
            return _negation(_truth(part))
        case Combine(op, parts):
            return _combination([_truth(part) for part in parts], decisive=op == "or")
    value = _value(node)
    return lambda row: None if (found := value(row)) is None else bool(found)


def _among(several: tuple[Any, ...]) -> Callable[[Any, Any], Any]:
    """Return a test of membership that takes as long for many values as for few."""
    quick = frozenset(several)

    def test(item: Any, container: tuple[Any, ...]) -> bool:
        try:
            return item in quick
        except TypeError:  # a list has no hash, and may yet be compared
            return item in container

    return test


def _negation(truth: _Truth) -> _Truth:
    return lambda row: None if (found := truth(row)) is None else not found


def _combination(truths: list[_Truth], *, decisive: bool) -> _Truth:
    """Combine: one part that is `decisive` settles it, else one that is open leaves it open."""

    def holds(row: Row) -> bool | None:
        result: bool | None = not decisive
        for truth in truths:
            found = truth(row)
            if found is decisive:
                return decisive
            if found is None:
                result = None
        return result

    return holds


def _value(operand: Column | Constant) -> Callable[[Row], Any]:
    if isinstance(operand, Constant):
        constant = operand.value
        return lambda _row: constant
    name = operand.name
    return lambda row: row.get(name)


def _comparison(
    test: Callable[[Any, Any], Any], left: Callable[[Row], Any], right: Callable[[Row], Any]
) -> _Truth:
    return lambda row: _tested(test, left(row), right(row))


def compared(op: str, one: Any, other: Any) -> bool | None:
    """Return what an operator of `Compare` says of two values, None where that is open."""
    return _tested(_TESTS[op], one, other)


def _tested(test: Callable[[Any, Any], Any], one: Any, other: Any) -> bool | None:
    if one is None or other is None:
        return None
    try:
        return bool(test(one, other))
    except TypeError:  # text against a number
        return None
