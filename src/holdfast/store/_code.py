"""A fingerprint of what a task computes: its source and that of what it uses in its own module.

Comments, docstrings, formatting and decorators do not count, nor do the defaults of a function that
is a task, which are parameters. Other modules do not count either: the metadata of a run hold the
git commit and the versions of packages for that.
"""

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

_CONSTANTS = (bool, int, float, complex, str, bytes, type(None))


def fingerprint(target: Any) -> str:
    """Return 32 hexadecimal digits that change when the code of a task does.

    Parameters
    ----------
    target : function or class
        The task.
    """
    parts: dict[str, str] = {}
    _gather(target, parts, defaults=False)  # which are parameters, not code
    text = "\n".join(f"{name}: {parts[name]}" for name in sorted(parts))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _gather(target: Any, parts: dict[str, str], *, defaults: bool = True) -> None:
    parts[target.__qualname__] = ""  # already here, since functions may call each other in a ring
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(target)))
    except (OSError, TypeError, SyntaxError):  # typed in without a file, or compiled
        code = getattr(target, "__code__", None)
        parts[target.__qualname__] = _compiled(code) if code else ""
        return
    function = tree.body[0]
    if not defaults and isinstance(function, ast.FunctionDef):
        function.args.defaults = []
        function.args.kw_defaults = [None] * len(function.args.kwonlyargs)
    parts[target.__qualname__] = ast.unparse(_without_talk(tree))
    for name, value in _used(tree, target):
        if isinstance(value, FunctionType | type):
            if value.__module__ == target.__module__ and value.__qualname__ not in parts:
                _gather(value, parts)
        elif _is_constant(value):
            parts[f"{name} ="] = repr(value)


def _used(tree: ast.AST, target: Any) -> Iterator[tuple[str, Any]]:
    """Yield what the code names and its module holds."""
    module = inspect.getmodule(target)
    known = getattr(target, "__globals__", None) or (vars(module) if module else {})
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for name in sorted(names & known.keys()):
        if not name.startswith("__"):
            yield name, known[name]


def _is_constant(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_constant, value))
    return type(value) in _CONSTANTS


def _without_talk(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            node.decorator_list = []
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return tree


def _compiled(code: CodeType) -> str:
    consts = [_compiled(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {consts} {code.co_names}"
