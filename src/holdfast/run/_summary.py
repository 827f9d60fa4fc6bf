"""A run at a glance: as text for a terminal, as HTML for a notebook."""

import html
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from holdfast._text import duration, short, visible
from holdfast.errors import HoldfastError
from holdfast.run._files import files
from holdfast.run._layout import DATA

if TYPE_CHECKING:
    from holdfast.run._reader import LogReader

_COLOURS = {
    "complete": "#1a7f37",
    "failed": "#cf222e",
    "running": "#0969da",
    "interrupted": "#9a6700",
    "unreadable": "#cf222e",
}


def facts_of(run: "LogReader") -> dict[str, str]:
    """Return what is worth saying of a run, in the order of saying it, safe to print.

    What cannot be read has its problem in its place.
    """
    try:
        meta, state = run.meta, run.state
    except (HoldfastError, OSError) as error:
        return {"state": "unreadable", "problem": visible(str(error))}
    facts: dict[str, str] = {"state": state}
    facts["started"] = str(meta.get("start_time", "?"))[:19].replace("T", " ")
    if isinstance(meta.get("runtime_sec"), int | float):
        facts["runtime"] = duration(meta["runtime_sec"])
    if "failure_reason" in meta:
        facts["reason"] = str(meta["failure_reason"])
    facts |= {name: _told(tell) for name, tell in _contents(run).items()}
    return {name: visible(text) for name, text in facts.items() if text}


def _contents(run: "LogReader") -> dict[str, Callable[[], str]]:
    return {
        "params": lambda: ", ".join(f"{k}={short(v)}" for k, v in run.params.items()),
        "arrays": lambda: ", ".join(run.arrays),
        "streams": lambda: ", ".join(
            f"{name} ({_told(lambda n=name: f'{len(run.stream(n))} rows')})"  # type: ignore[misc]
            for name in run.streams
        ),
        "trajectories": lambda: ", ".join(
            f"{name} ({_told(lambda n=name: f'{len(run.trajectory(n))} fields')})"  # type: ignore[misc]
            for name in run.trajectories
        ),
        "records": lambda: ", ".join(
            f"{name} ({_told(lambda n=name: f'{len(run.records(n))} rows')})"  # type: ignore[misc]
            for name in run.record_scopes
        ),
        "artifacts": lambda: ", ".join(run.artifact_files),
        "plots": lambda: ", ".join(run.plots),
    }


def _told(tell: Callable[[], str]) -> str:
    """Return what is told, or why it cannot be: one damaged thing does not hide the others."""
    try:
        return tell()
    except (HoldfastError, OSError) as error:
        return f"unreadable: {error}"


def glance(run: "LogReader", kind: str) -> str:
    """Return one line: run id, state, parameters, and how many of each thing a run holds."""
    try:
        state: str = run.state
    except (HoldfastError, OSError):
        return f"{kind}({run.run_id!r}, unreadable, {str(run.path)!r})"
    params = _told(lambda: ", ".join(f"{visible(k)}={short(v)}" for k, v in run.params.items()))
    parts = [repr(run.run_id), state, short(params, most=80), *_counts(run)]
    return f"{kind}({', '.join(part for part in parts if part)})"


def _counts(run: "LogReader") -> Iterator[str]:
    held: dict[str, Callable[[], list[str]]] = {
        "array": lambda: [n for n in files(run.path / DATA) if n.endswith((".npy", ".npz"))],
        "stream": lambda: run.streams,
        "trajectory": lambda: run.trajectories,
        "table": lambda: run.record_scopes,
        "artifact": lambda: run.artifact_files,
        "plot": lambda: run.plots,
    }
    for name, names in held.items():
        try:
            count = len(names())
        except (HoldfastError, OSError):
            yield f"{_plural(name)} unreadable"
            continue
        if count:
            yield f"{count} {name if count == 1 else _plural(name)}"


def _plural(name: str) -> str:
    return "trajectories" if name == "trajectory" else f"{name}s"


def summary_text(run: "LogReader") -> str:
    """Return a few aligned lines that say what a run is and holds."""
    facts = facts_of(run)
    width = max(map(len, facts))
    lines = [f"  {name:<{width}}  {text}" for name, text in facts.items()]
    return "\n".join([visible(f"Run {run.run_id} in {run.path}"), *lines])


def summary_html(run: "LogReader") -> str:
    """Return the same as an HTML table, everything escaped."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{_cell(name, text)}</td></tr>"
        for name, text in facts_of(run).items()
    )
    title = f"Run <b>{html.escape(run.run_id)}</b> in <code>{html.escape(str(run.path))}</code>"
    return f"<div><p>{title}</p><table>{rows}</table></div>"


def _cell(name: str, text: str) -> str:
    if name == "state":
        return f"<b style='color:{_COLOURS[text]}'>{html.escape(text)}</b>"
    return html.escape(text)
