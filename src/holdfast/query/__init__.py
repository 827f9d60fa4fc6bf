"""Filter expressions such as ``dt < 0.1 and status == 'complete'``: one parser for the library.

The text has Python's syntax for comparisons, and is parsed but never evaluated as Python: `parse`
turns it into a tree of the few nodes below, `predicate` turns the tree into a function of a row,
and `to_sql` into a condition of SQLite that holds for the same rows.

=====================  ==============================================================
``dt < 0.1``           ``== != < <= > >=``, also chained: ``0.01 <= dt < 0.1``
``name in ('a', 'b')`` membership, also ``not in``; ``'a' in name`` looks into text
``reason is None``     no value there; ``is not None``
``and or not ( )``     combinations
``like(name, 'ab*')``  text against a shell pattern
``col('max T')``       a column whose name is no Python name; ``params.dt`` needs no ``col``
=====================  ==============================================================

A comparison with a value that is missing, or of a type that does not compare, is neither true nor
false, as with NULL in SQL: no row satisfies it, and none satisfies its opposite.
"""

from holdfast.query._parse import (
    MAX_LENGTH,
    Column,
    Combine,
    Compare,
    Constant,
    Node,
    Not,
    check_columns,
    columns,
    parse,
)
from holdfast.query._predicate import predicate
from holdfast.query._sql import Source, Sql, decoded, encoded, register, to_sql

__all__ = [
    "MAX_LENGTH",
    "Column",
    "Combine",
    "Compare",
    "Constant",
    "Node",
    "Not",
    "Source",
    "Sql",
    "check_columns",
    "columns",
    "decoded",
    "encoded",
    "parse",
    "predicate",
    "register",
    "to_sql",
]
