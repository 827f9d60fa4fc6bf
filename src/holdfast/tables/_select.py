"""What a row must satisfy: an expression, and values that it must equal."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from holdfast.query import Column, Combine, Compare, Constant, check_columns, parse, predicate


def selection(
    where: str | None, equals: Mapping[str, Any], columns: Collection[str]
) -> Callable[[Mapping[str, Any]], bool]:
    """Return the predicate of an expression and equalities.

    Parameters
    ----------
    where : str, optional
        An expression such as ``"dt < 0.1"``.
    equals : mapping
        Values by column; None for rows without one.
    columns : collection of str
        The columns there are; of none, every name is taken.

    Raises
    ------
    InvalidInputError
        If the expression cannot be read or a column does not exist.
    """
    parts = [parse(where)] if where is not None else []
    for name, value in equals.items():
        op = "is" if value is None else "=="
        parts.append(Compare(op, Column(name), Constant(value)))
    node = Combine("and", tuple(parts))
    if columns:
        check_columns(node, columns)
    return predicate(node)
