"""A run at a glance: as text for a terminal, as HTML for a notebook."""

import html
from typing import TYPE_CHECKING

from holdfast._text import duration, short
from holdfast.errors import FormatError

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
    """Return what is worth saying of a run, in the order of saying it."""
    try:
        meta, state = run.meta, run.state
    except FormatError as error:
        return {"state": "unreadable", "problem": str(error)}
    facts: dict[str, str] = {"state": state}
    facts["started"] = str(meta.get("start_time", "?"))[:19].replace("T", " ")
    if isinstance(meta.get("runtime_sec"), int | float):
        facts["runtime"] = duration(meta["runtime_sec"])
    if "failure_reason" in meta:
        facts["reason"] = str(meta["failure_reason"])
    facts |= _contents(run)
    return {name: text for name, text in facts.items() if text}


def _contents(run: "LogReader") -> dict[str, str]:
    try:
        params = run.params
    except FormatError as error:
        return {"params": str(error)}
    return {
        "params": ", ".join(f"{k}={short(v)}" for k, v in params.items()),
        "arrays": ", ".join(run.arrays),
        "streams": ", ".join(f"{name} ({len(run.stream(name))} rows)" for name in run.streams),
        "records": ", ".join(
            f"{name} ({len(run.records(name))} rows)" for name in run.record_scopes
        ),
        "artifacts": ", ".join(run.artifact_files),
        "plots": ", ".join(run.plots),
    }


def summary_text(run: "LogReader") -> str:
    """Return a few aligned lines that say what a run is and holds."""
    facts = facts_of(run)
    width = max(map(len, facts))
    lines = [f"  {name:<{width}}  {text}" for name, text in facts.items()]
    return "\n".join([f"Run {run.run_id} in {run.path}", *lines])


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
