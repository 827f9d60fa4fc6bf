"""Values, times and tables as people read them, in a terminal or a notebook."""

import html
from collections.abc import Iterable, Mapping
from typing import Any


def table_html(title: str, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows of values as an HTML table, everything escaped."""
    names = list(columns)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(short(row.get(n)))}</td>" for n in names) + "</tr>"
        for row in rows
    )
    return f"<div><p>{html.escape(title)}</p><table><tr>{head}</tr>{body}</table></div>"


def visible(text: str) -> str:
    """Return text with control characters as escapes, so that none of them steers a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


MOST = 60
"""How many characters a cell of a table shows."""


def short(value: Any, *, most: int | None = MOST) -> str:
    """Return a value as text that fits into a table; None is empty, floats have six digits."""
    if value is None:
        return ""
    text = visible(f"{value:.6g}" if isinstance(value, float) else str(value))
    return text if most is None or len(text) <= most else text[: most - 1] + "…"


def duration(seconds: float) -> str:
    """Return a length of time as people say it: ``0.42 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
