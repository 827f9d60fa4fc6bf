"""Runs and experiments beside notata from PyPI, measured in turn in one process.

``python benchmarks/bench_runs.py [--small] [--dir FOLDER]``

Data go into a temporary folder on the disk that holds FOLDER (the current one), and are removed.
Each figure is a median; both libraries and the limit take turns, so that whatever else the machine
does meets all of them.
"""

import argparse
import contextlib
import importlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from holdfast import Experiment, ExperimentReader, Logbook, _sync

PARAMS = {"omega": 2.0, "dt": 1e-3, "steps": 10_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    parser.add_argument("--dir", type=Path, default=Path.cwd(), help="a folder on the disk to use")
    options = parser.parse_args()
    peer = import_peer()
    with tempfile.TemporaryDirectory(prefix="bench-runs-", dir=options.dir) as folder:
        print(f"in {folder}, Python {sys.version.split()[0]}, {os.cpu_count()} cores\n")
        one_run(Path(folder), peer, turns=10 if options.small else 300)
        many_runs(Path(folder), peer, count=100 if options.small else 10_000)
        import_time(turns=1 if options.small else 15, peer=peer)
        _sync.drain()  # or the background would sync files that are removed next


def import_peer() -> ModuleType | None:
    try:
        return importlib.import_module("notata")
    except ImportError as error:
        print(f"notata cannot be imported, so its column is empty: {error}")
        return None


def in_turn(turns: int, works: Mapping[str, Callable[[int], object]]) -> dict[str, float]:
    """Do each work once a turn, and return the median seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns):
        for name, work in works.items():
            begin = time.perf_counter()
            work(turn)
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(title: str, seconds: dict[str, float], *, beside: str) -> None:
    """Print figures, and how many times the one to compare with each takes."""
    print(title)
    unit = seconds.get(beside)
    for name, value in seconds.items():
        ratio = f"{value / unit:8.2f} x {beside}" if unit and name != beside else ""
        print(f"  {name:<36} {value * 1e3:10.3f} ms {ratio}".rstrip())
    print()


def one_run(folder: Path, peer: ModuleType | None, turns: int) -> None:
    def ours(turn: int, **options: Any) -> None:
        base = folder / f"one-{options.get('sync', 'background')}"
        with Logbook(turn, base, params=PARAMS, **options) as log:
            log.info("swinging")

    def theirs(turn: int, peer: Any = peer) -> None:
        with peer.Logbook(str(turn), folder / "one-notata", params=PARAMS) as log:
            log.info("swinging")

    def limit(_: int) -> None:
        with (folder / "new").open("wb") as file:
            file.write(bytes(1000))
            file.flush()
            os.fsync(file.fileno())
        os.replace(folder / "new", folder / "file")

    ours(-1)  # what is once per process: environment and git
    works: dict[str, Callable[[int], object]] = {
        "holdfast, background sync": ours,
        'holdfast, sync="always"': lambda turn: ours(turn, sync="always"),
        "one fsynced replace (the disk)": limit,
    }
    if peer is not None:
        works["notata"] = theirs
    report("create, log one line, close a run", in_turn(turns, works), beside="notata")


def many_runs(folder: Path, peer: ModuleType | None, count: int) -> None:
    ours, theirs = folder / "many", folder / "many-notata"
    report(f"one run of a sweep of {count}", generate(ours, theirs, peer, count), beside="notata")
    works: dict[str, dict[str, Callable[[int], object]]] = {
        f"table of {count} runs": {
            "holdfast, every row checked": lambda _: list(ExperimentReader(ours / "s").index()),
            "holdfast, to_dataframe()": lambda _: ExperimentReader(ours / "s").to_dataframe(),
        },
        f"list {count} runs": {
            "holdfast, metadata of each": lambda _: [
                run.meta["status"] for run in ExperimentReader(ours / "s")
            ],
            "holdfast, ids": lambda _: ExperimentReader(ours / "s").run_ids,
        },
        f"exp[run_id] among {count}, new reader": {
            "holdfast": lambda turn: ExperimentReader(ours / "s")[f"s_x_{turn}"].params,
        },
    }
    if peer is not None:
        table, listed, found = works.values()
        table["notata"] = lambda _: list(peer.ExperimentReader(theirs / "s").index())
        listed["notata"] = lambda _: [
            run.meta["status"] for run in peer.ExperimentReader(theirs / "s")
        ]
        found["notata"] = lambda turn: peer.ExperimentReader(theirs / "s")[f"s_x_{turn}"].params
    for title, group in works.items():
        report(title, in_turn(5, group), beside="notata")
    (ours / "s/index.csv").unlink()
    without = {"holdfast, index.csv deleted": lambda _: list(ExperimentReader(ours / "s").index())}
    report(f"table of {count} runs from their directories", in_turn(1, without), beside="")


def generate(ours: Path, theirs: Path, peer: ModuleType | None, count: int) -> dict[str, float]:
    """Make two experiments of equal runs, and return the median seconds that a run took."""

    def add(experiment: Any) -> Callable[[int], None]:
        def work(turn: int) -> None:
            with experiment.add(x=turn) as log:
                log.json("metrics", {"y": turn / 8, "name": "euler"})

        return work

    works: dict[str, Callable[[int], object]] = {"holdfast": add(Experiment("s", ours))}
    if peer is not None:
        works["notata"] = add(peer.Experiment("s", theirs))
    with contextlib.redirect_stdout(io.StringIO()):
        return in_turn(count, works)


def import_time(turns: int, peer: ModuleType | None) -> None:
    programs = {
        "bare Python": "pass",
        "import holdfast": "import holdfast",
        "from holdfast import Logbook": "from holdfast import Logbook",
    }
    if peer is not None:
        programs["import notata"] = "import notata"

    def runner(program: str) -> Callable[[int], object]:
        return lambda _: subprocess.run([sys.executable, "-c", program], check=True)

    for work in map(runner, programs.values()):
        work(0)  # compiles, and fills the page cache
    seconds = in_turn(turns, {name: runner(program) for name, program in programs.items()})
    bare = seconds["bare Python"]
    print(f"import, over bare Python ({bare * 1e3:.1f} ms)")
    for name, value in seconds.items():
        if name != "bare Python":
            print(f"  {name:<36} {(value - bare) * 1e3:10.1f} ms")


if __name__ == "__main__":
    main()
