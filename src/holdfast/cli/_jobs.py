"""``holdfast jobs``: how far the jobs of a pipeline are."""

import datetime as dt
import sys
import time
from pathlib import Path
from typing import Any

import click

from holdfast._text import duration, short, visible
from holdfast.cli._output import console, json_option, print_json, print_table
from holdfast.jobs import JobState, ProcessingStatus, ProcessingTracker
from holdfast.tables import Table

_COLUMNS = ("job", "specifier", "status", "executor", "time", "error", "id")
_SHOWN_LIVE = 20


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--status", metavar="STATUS", help="Only jobs of this status, or stale.")
@click.option("--follow", is_flag=True, help="Show the table anew until no job is left.")
@click.option("--interval", default=1.0, show_default=True, help="Seconds between two looks.")
@json_option
def jobs(file: Path, status: str | None, follow: bool, interval: float, as_json: bool) -> None:
    """Show how far the jobs of the tracker FILE are; nothing is written."""
    tracker = ProcessingTracker.from_yaml(file)
    if as_json:
        print_json(_as_json(tracker, status))
    elif follow and sys.stdout.isatty():
        _follow(tracker, status, interval)
    else:
        print_table(_table(tracker, status))
        click.echo(str(tracker.summarize()))


def _chosen(tracker: ProcessingTracker, status: str | None) -> dict[str, JobState]:
    jobs = tracker.jobs
    if status is None:
        return jobs
    wanted = tracker.stale_jobs() if status == "stale" else tracker.get_jobs_by_status(status)
    return {identity: jobs[identity] for identity in wanted if identity in jobs}


def _as_json(tracker: ProcessingTracker, status: str | None) -> dict[str, Any]:
    stale = set(tracker.stale_jobs())
    counts = {found.name: number for found, number in tracker.get_summary().items()}
    listed = [
        {
            "id": identity,
            "job_name": job.job_name,
            "specifier": job.specifier,
            "status": job.status.name,
            "stale": identity in stale,
            "executor_id": job.executor_id,
            "error_message": job.error_message,
            "started_at": job.started_at,
            "completed_at": job.completed_at,
        }
        for identity, job in _chosen(tracker, status).items()
    ]
    return {"counts": counts, "stale": len(stale), "complete": tracker.complete, "jobs": listed}


def _table(tracker: ProcessingTracker, status: str | None, most: int | None = None) -> Table:
    stale = set(tracker.stale_jobs())
    found = sorted(_chosen(tracker, status).items(), key=lambda item: _urgency(item[1]))
    rows = [_row(identity, job, identity in stale) for identity, job in found[:most]]
    return Table(rows, _COLUMNS, visible(str(tracker.file_path)))


def _urgency(job: JobState) -> tuple[int, int]:
    """Order running and failed jobs before those that need no eye."""
    order = (
        ProcessingStatus.RUNNING,
        ProcessingStatus.FAILED,
        ProcessingStatus.SCHEDULED,
        ProcessingStatus.SUCCEEDED,
    )
    return order.index(job.status), -(job.started_at or 0)


def _row(identity: str, job: JobState, stale: bool) -> dict[str, Any]:
    lines = (job.error_message or "").strip().splitlines()
    return {
        "job": job.job_name,
        "specifier": job.specifier,
        "status": "stale" if stale else job.status.name.lower(),
        "executor": job.executor_id,
        "time": _time(job),
        "error": lines[-1] if lines else None,
        "id": identity,
    }


def _time(job: JobState) -> str | None:
    if job.started_at is None:
        return None
    now = dt.datetime.now(dt.UTC).timestamp()
    end = job.completed_at / 1e6 if job.completed_at is not None else now
    return duration(max(0.0, end - job.started_at / 1e6))


def _follow(tracker: ProcessingTracker, status: str | None, interval: float) -> None:
    from rich.live import Live

    with Live(console=console(), auto_refresh=False) as live:
        while True:
            summary = tracker.summarize()  # first: what is shown last must not be older than it
            live.update(_live_table(tracker, status), refresh=True)
            if not summary.scheduled and not summary.running - summary.stale:
                return
            time.sleep(max(0.1, interval))


def _live_table(tracker: ProcessingTracker, status: str | None) -> Any:
    from rich.table import Table as LiveTable
    from rich.text import Text

    table = LiveTable(caption=str(tracker.summarize()), title=Text(visible(str(tracker.file_path))))
    for name in _COLUMNS:
        table.add_column(name)
    for row in _table(tracker, status, _SHOWN_LIVE):
        table.add_row(*(Text(short(row[name])) for name in _COLUMNS))
    return table
