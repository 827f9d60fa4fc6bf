"""Text to a tree: parsed by Python's own parser, and never evaluated.

A walk over Python's tree accepts what the language has and turns it into the few nodes below;
everything else is refused, and the message shows the part.
"""

import ast
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from holdfast._names import listing, nearest
from holdfast.errors import InvalidInputError

MAX_DEPTH = 100
"""How deep parts may stand in each other; much more exhausts the stack, here or in a database."""

MAX_LENGTH = 1_000_000
"""Longest expression, in characters; beyond some size Python's own parser is not to be trusted."""


@dataclass(frozen=True, slots=True)
class Column:
    """The value of a row under a name."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, text, truth value, None, or a tuple of them."""

    value: Any


@dataclass(frozen=True, slots=True)
class Compare:
    """Two operands and one of ``== != < <= > >= in is like``."""

    op: str
    left: "Column | Constant"
    right: "Column | Constant"


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a part."""

    part: "Node"


@dataclass(frozen=True, slots=True)
class Combine:
    """Several parts of which all (``and``) or at least one (``or``) hold."""

    op: str
    parts: "tuple[Node, ...]"


Node = Column | Constant | Compare | Not | Combine

_SINGLE_EQUALS = re.compile(r"(?<![=!<>])=(?!=)")

_COMPARISONS: dict[type[ast.cmpop], tuple[str, bool]] = {
    ast.Eq: ("==", True),
    ast.NotEq: ("!=", True),
    ast.Lt: ("<", True),
    ast.LtE: ("<=", True),
    ast.Gt: (">", True),
    ast.GtE: (">=", True),
    ast.In: ("in", True),
    ast.NotIn: ("in", False),
    ast.Is: ("is", True),
    ast.IsNot: ("is", False),
}

_WORDS = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "nan": math.nan,
    "inf": math.inf,
}


def parse(text: str) -> Node:
    """Parse an expression.

    Parameters
    ----------
    text : str
        As `holdfast.query` describes it.

    Returns
    -------
    Node
        A tree of `Column`, `Constant`, `Compare`, `Not` and `Combine`.

    Raises
    ------
    InvalidInputError
        If the text is no expression of this kind; the message shows the place.
    """
    if not isinstance(text, str):
        raise InvalidInputError(f"an expression is text, not {type(text).__name__}: {text!r}")
    if len(text) > MAX_LENGTH:
        raise InvalidInputError(
            f"the expression has {len(text)} characters, {MAX_LENGTH} at most; select in steps"
        )
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidInputError(_syntax_hint(text, error)) from None
    return _Parser(text.strip()).node(tree.body)


def _syntax_hint(text: str, error: Exception) -> str:
    if isinstance(error, RecursionError | MemoryError):
        return f"{_shown(text)} is nested too deeply; write fewer parentheses and 'not'"
    place = f" at column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
    words = text.split()
    if not words:
        return "the expression is empty; write for instance \"dt < 0.1 and status == 'complete'\""
    if _SINGLE_EQUALS.search(text):
        return f"{_shown(text)} has a single '='{place}; compare with '=='"
    if {"AND", "OR", "NOT"} & set(words):
        return f"{_shown(text)} cannot be read{place}; write 'and', 'or', 'not' in small letters"
    return f'{_shown(text)} cannot be read as an expression{place}; write for instance "dt < 0.1"'


def _shown(text: str) -> str:
    return repr(text if len(text) <= 200 else text[:197] + "...")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0

    def node(self, tree: ast.expr) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidInputError(_syntax_hint(self._text, RecursionError()))
        node = self._node(tree)
        self._depth -= 1
        return node

    def _node(self, tree: ast.expr) -> Node:
        match tree:
            case ast.BoolOp(op=op, values=values):
                parts = tuple(self.node(value) for value in values)
                return Combine("and" if isinstance(op, ast.And) else "or", parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(self.node(operand))
            case ast.Compare(left=left, ops=ops, comparators=rights):
                return self._chain(left, ops, rights)
            case ast.Call(func=ast.Name(id="like"), args=[column, pattern], keywords=[]):
                return self._like(column, pattern)
        return self._operand(tree)

    def _chain(self, left: ast.expr, ops: list[ast.cmpop], rights: list[ast.expr]) -> Node:
        parts: list[Node] = []
        for op, right in zip(ops, rights, strict=True):
            sign, positive = _COMPARISONS[type(op)]
            parts.append(self._compare(sign, left, right, positive=positive))
            left = right
        return parts[0] if len(parts) == 1 else Combine("and", tuple(parts))

    def _compare(self, sign: str, left: ast.expr, right: ast.expr, *, positive: bool) -> Node:
        one, other = self._operand(left), self._operand(right)
        if one == Constant(None) and sign in ("==", "!=", "is"):
            one, other = other, one
        if other == Constant(None) and sign in ("==", "!="):
            sign, positive = "is", sign == "=="
        if sign == "is" and other != Constant(None):
            raise self._refuse(right, "'is' compares with None only; use '=='")
        if (
            sign == "in"
            and isinstance(other, Constant)
            and not isinstance(other.value, str | tuple)
        ):
            raise self._refuse(right, "'in' looks into a list such as (1, 2), or into text")
        compare = Compare(sign, one, other)
        return compare if positive else Not(compare)

    def _like(self, column: ast.expr, pattern: ast.expr) -> Compare:
        right = self._operand(pattern)
        if not isinstance(right, Constant) or not isinstance(right.value, str):
            raise self._refuse(pattern, "the second argument of like() is a pattern in quotes")
        return Compare("like", self._operand(column), right)

    def _operand(self, tree: ast.expr) -> Column | Constant:
        match tree:
            case ast.Name(id=name) if name.lower() in _WORDS:
                return Constant(_WORDS[name.lower()])
            case ast.Name(id=name):
                return Column(name)
            case ast.Attribute():
                return Column(self._dotted(tree))
            case ast.Call(
                func=ast.Name(id="col"), args=[ast.Constant(value=str(name))], keywords=[]
            ):
                return Column(name)
            case ast.Constant(value=bool() | int() | float() | str() | None as value):
                return Constant(value)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                return self._signed(sign, operand)
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
                return Constant(tuple(self._constant(part) for part in parts))
        raise self._refuse(tree, "only column names, numbers, texts and comparisons are understood")

    def _dotted(self, tree: ast.expr) -> str:
        names = []
        while isinstance(tree, ast.Attribute):
            names.append(tree.attr)
            tree = tree.value
        if not isinstance(tree, ast.Name):
            raise self._refuse(tree, "a dotted name has names between its dots")
        return ".".join([tree.id, *reversed(names)])

    def _signed(self, sign: ast.unaryop, operand: ast.expr) -> Constant:
        value = operand.value if isinstance(operand, ast.Constant) else self._word(operand)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refuse(operand, "a sign stands before a number only")
        return Constant(-value if isinstance(sign, ast.USub) else value)

    def _word(self, tree: ast.expr) -> Any:
        return _WORDS.get(tree.id.lower()) if isinstance(tree, ast.Name) else None

    def _constant(self, tree: ast.expr) -> Any:
        operand = None if isinstance(tree, ast.Tuple | ast.List | ast.Set) else self._operand(tree)
        if not isinstance(operand, Constant):
            raise self._refuse(tree, "lists hold numbers and texts; put texts in quotes")
        return operand.value

    def _refuse(self, tree: ast.expr, why: str) -> InvalidInputError:
        part = ast.get_source_segment(self._text, tree) or self._text
        return InvalidInputError(f"{_shown(part)} in {_shown(self._text)}: {why}")


def columns(node: Node) -> Iterator[str]:
    """Yield the names of the columns that an expression asks for."""
    match node:
        case Column(name):
            yield name
        case Compare(_, left, right):
            yield from columns(left)
            yield from columns(right)
        case Not(part):
            yield from columns(part)
        case Combine(_, parts):
            for part in parts:
                yield from columns(part)


def check_columns(node: Node, known: Iterable[str]) -> None:
    """Refuse an expression that asks for a column nobody has.

    Raises
    ------
    InvalidInputError
        With the nearest spelling and the columns there are.
    """
    names = list(known)
    for name in columns(node):
        if name not in names:
            raise InvalidInputError(
                f"there is no column {name!r}{nearest(name, names) or ';'} "
                f"the columns are {listing(names, most=30)} (put text values in quotes)"
            )
