"""The store beside signac and machinable from PyPI, with 1,000, 10,000 and 100,000 runs.

    python benchmarks/bench_store.py [--small] [--dir FOLDER] [--machinable PYTHON]

The folders of runs are written directly, ours and signac's, so that there are as many as it takes;
then each work is done some times, in turn with signac's, and its median is printed. machinable
needs an environment of its own, whose Python is named; it makes its own runs, fewer, since each of
its questions takes longer the more there are. A peer that is missing is said to be. Everything is
written into a temporary folder on the disk that holds FOLDER (the current one), and removed.
"""

import argparse
import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from holdfast import Logbook, _sync
from holdfast.canonical import identity
from holdfast.store import Store, get, task
from holdfast.store._index import Index
from holdfast.store._index._scan import SETTLED_SECONDS

Work = Callable[[int], object]
Figures = dict[str, dict[str, float]]

METHODS = ("euler", "verlet", "leapfrog")


@task(name="simulate")
def simulate(dt: float = 0.1, n: int = 0, method: str = "euler") -> float:
    return dt * n if method else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    parser.add_argument("--dir", type=Path, default=Path.cwd(), help="a folder on the disk to use")
    parser.add_argument(
        "--sizes", default="1000,10000,100000", help="how many runs, e.g. 1000,5000"
    )
    parser.add_argument("--machinable", metavar="PYTHON", help="of an environment that has it")
    options = parser.parse_args()
    sizes = [100] if options.small else [int(size) for size in options.sizes.split(",")]
    signac = import_signac()
    with tempfile.TemporaryDirectory(prefix="bench-store-", dir=options.dir) as folder:
        print(f"in {folder}, Python {sys.version.split()[0]}, {os.cpu_count()} cores\n")
        figures: Figures = {}
        for size in sizes:
            measure(Path(folder) / str(size), size, signac, figures, small=options.small)
            shutil.rmtree(Path(folder) / str(size))
        report(figures, sizes)
        machinable(Path(folder), options.machinable, 5 if options.small else 200)


def import_signac() -> ModuleType | None:
    try:
        return importlib.import_module("signac")
    except ImportError as error:
        print(f"signac cannot be imported, so its lines are missing: {error}")
        return None


def params_of(number: int) -> dict[str, Any]:
    return {"dt": 0.1 + number % 7 / 10, "n": number, "method": METHODS[number % 3]}


def measure(
    folder: Path, size: int, signac: ModuleType | None, figures: Figures, *, small: bool
) -> None:
    """Do all works on stores of one size."""
    folder.mkdir()
    make_runs(folder / "ours", size)
    if not small:
        time.sleep(SETTLED_SECONDS + 1)  # or every question would look for files that still come
    turns = 3 if small else 30
    index = Index(folder / "ours")
    begin = time.perf_counter()
    index.refresh()
    note(figures, "build the index", size, time.perf_counter() - begin)
    time.sleep(0.5)  # until nobody's clock doubts that nothing has changed
    ours(Store(folder / "ours"), index, size, turns, figures)
    index.close()
    _sync.drain()
    if signac is not None:
        make_jobs(signac, folder / "signac", size)
        theirs(signac, folder / "signac", size, turns, figures)


def ours(store: Store, index: Index, size: int, turns: int, figures: Figures) -> None:
    def fresh(_: int) -> None:
        another = Index(store.directory)
        require(len(another.find(n=size // 2)) == 1)
        another.close()

    def hit(turn: int) -> None:
        require(get(simulate, params_of(turn * 7919 % size)).is_finished())

    def miss(turn: int) -> None:
        require(not get(simulate, {"n": size * 10 + turn}).is_finished())

    def by_all(turn: int) -> None:
        require(len(index.find(**params_of(turn * 7919 % size))) == 1)

    works: dict[str, Work] = {
        "get, a hit": hit,
        "get, a miss": miss,
        "find one by a parameter": lambda turn: index.find(n=turn * 7919 % size),
        "find one by all parameters": by_all,
        "find a third by an expression": lambda _: index.find("method == 'verlet' and dt < 5"),
        "find one, index just opened": fresh,
        "table of all": lambda _: index.table(),
        "table of all as a data frame": lambda _: index.to_dataframe(),
        "full refresh": lambda _: index.refresh(full=True),
        "rebuild": lambda _: index.rebuild(),
    }
    with store:
        for name, work in works.items():
            slow = name in ("full refresh", "rebuild") or "all as" in name or "third" in name
            few = 1 if name == "rebuild" else 3 if slow or name.startswith("table") else turns
            work(0)
            note(figures, name, size, median(work, few))

        def create(turn: int) -> None:
            get(simulate, {"n": size * 100 + turn}).launch()

        note(figures, "create: get and launch", size, median(create, turns))


def theirs(signac: Any, folder: Path, size: int, turns: int, figures: Figures) -> None:
    project = signac.init_project(folder)
    works: dict[str, Work] = {
        "get, a hit": lambda turn: require(
            os.path.isdir(project.open_job(params_of(turn * 7919 % size)).path)
        ),
        "get, a miss": lambda turn: require(
            not os.path.isdir(project.open_job({"n": size * 10 + turn}).path)
        ),
        "create: get and launch": lambda turn: project.open_job({"n": size * 100 + turn}).init(),
    }
    for name, work in works.items():
        note(figures, name, size, median(work, turns), peer=True)
    # It reads all state points at the first question, and keeps them while the project lives.
    new = signac.get_project(folder)
    begin = time.perf_counter()
    require(len(new.find_jobs({"n": 3})) == 1)
    note(figures, "find one, index just opened", size, time.perf_counter() - begin, peer=True)
    few = 3
    found = median(lambda turn: len(new.find_jobs({"n": turn})), few)
    note(figures, "find one by a parameter", size, found, peer=True)
    found = median(lambda turn: len(new.find_jobs(params_of(turn))), few)
    note(figures, "find one by all parameters", size, found, peer=True)
    found = median(lambda _: new.to_dataframe(), 1)
    note(figures, "table of all as a data frame", size, found, peer=True)


def make_runs(folder: Path, size: int) -> None:
    """Write the directories of runs as `launch` leaves them."""
    with Logbook("pattern", folder) as log:
        log.json("result", 0.5)
    code = get(simulate).task.code
    pattern = json.loads((log.path / "metadata.json").read_bytes())
    shutil.rmtree(log.path)
    for number in range(size):
        params = params_of(number)
        digits = identity("simulate", params)
        name = f"simulate-{digits}"
        told = {
            "name": "simulate",
            "identity": digits,
            "params": params,
            "replicate": 0,
            "seed": None,
            "drawn_seed": number,
            "schema": {},
            "code": code,
            "group": "bench/2026",
            "group_pattern": "bench/%Y",
        }
        meta = json.dumps(pattern | {"run_id": name, "task": told}, indent=2)
        os.makedirs(folder / name / "artifacts")
        (folder / name / "metadata.json").write_text(meta, encoding="utf-8")
        (folder / name / "artifacts" / "result.json").write_text("0.5\n", encoding="utf-8")


def make_jobs(signac: Any, folder: Path, size: int) -> None:
    """Write the directories of signac's jobs as it does itself."""
    folder.mkdir()
    project = signac.init_project(folder)
    for number in range(size):
        job = project.open_job(params_of(number))
        os.makedirs(job.path)
        text = json.dumps(params_of(number))
        Path(job.path, "signac_statepoint.json").write_text(text, encoding="utf-8")


def machinable(folder: Path, python: str | None, count: int) -> None:
    if python is None:
        print("machinable is missing: name the Python of an environment that has it (--machinable)")
        return
    place = folder / "machinable"
    place.mkdir()
    script = Path(__file__).with_name("peer_machinable.py")
    done = subprocess.run(
        [python, str(script), str(count)], cwd=place, check=True, capture_output=True, text=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    print(f"machinable {told['version']}, with {count} runs")
    for name, seconds in told["seconds"].items():
        print(f"  {name:<34} {shown(seconds)}")


def require(holds: object) -> None:
    if not holds:
        raise SystemExit("an answer is wrong, so that its time says nothing")


def median(work: Work, turns: int) -> float:
    seconds = []
    for turn in range(turns):
        begin = time.perf_counter()
        work(turn)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def note(figures: Figures, name: str, size: int, seconds: float, *, peer: bool = False) -> None:
    figures.setdefault(name, {})[f"{'signac ' if peer else ''}{size}"] = seconds


def report(figures: Figures, sizes: list[int]) -> None:
    """Print a line for each work and size, and how many times ours signac takes."""
    for name, found in figures.items():
        print(name)
        for size in sizes:
            own, peer = found.get(str(size)), found.get(f"signac {size}")
            beside = f"   signac {shown(peer)} {peer / own:9.1f} x" if peer and own else ""
            print(f"  {size:>8,} runs {shown(own or 0.0)}{beside}")
    print()


def shown(seconds: float) -> str:
    return f"{seconds * 1e3:12.3f} ms"


if __name__ == "__main__":
    main()
