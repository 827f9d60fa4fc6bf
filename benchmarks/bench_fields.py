"""Fields over time beside py-pde and the physical limit, measured in one run.

    python benchmarks/bench_fields.py [--small] [--dir FOLDER]

Appends are timed as in ``bench_streams.py``: one by one (median and p99.9), and all together, the
end of writing included (sustained); beside an ``os.write`` of the same bytes and one with an
``fsync``, in turns. Reads are of one field after another, in turns with the limits: ``np.fromfile``
of its bytes, and a ``preadv`` from an open file. Fields are of a simulation (smooth), so that
compression has something to gain. py-pde, where it is installed, gets its own fields, and so does
Holdfast in the lines that say so.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from bench_streams import (  # type: ignore[import-not-found]
    Timing,
    head,
    in_turn,
    measure,
    show,
    write_timing,
)
from field_work import mean, spectrum  # type: ignore[import-not-found]

import holdfast
from holdfast.fields import MemoryStorage, _loky
from holdfast.fields._parallel import Task

try:
    import pde as _pde
except ImportError:
    pde: Any = None
else:
    pde = _pde


def smooth(cells: int, count: int = 8) -> list[Any]:
    """Waves that pass each other, with a little noise, as a solver leaves them."""
    generator = np.random.default_rng(seed=0)
    x, y = np.meshgrid(*[np.linspace(0, 2 * np.pi, cells)] * 2, indexing="ij")
    waves = [np.sin(2 * x + n / 4) * np.cos(3 * y - n / 7) for n in range(count)]
    return [wave + 1e-6 * generator.normal(size=wave.shape) for wave in waves]


def appending(folder: Path, storage: Any, fields: list[Any], rows: int) -> Timing:
    storage.start_writing(fields[0])
    times = itertools.count()
    calls = [(lambda field: storage.append(field, next(times)), field) for field in fields]
    size = fields[0].data.nbytes
    timing = measure(calls, storage.end_writing, rows, folder, size)
    if hasattr(storage, "close"):
        storage.close()
    return timing


def reading(reads: list[Callable[[int], Any]], rows: int) -> list[float]:
    """Return the median of the times of each to read one field, in nanoseconds.

    They take turns at each field, so that all find the same machine and the same caches: bytes that
    were written last are still near the processor, and the first large array of a process is slow.
    """
    clock = time.perf_counter_ns
    times: list[list[int]] = [[] for _ in reads]
    for number in [0, *range(rows)] * ROUNDS:
        for read, taken in zip(reads, times, strict=True):
            start = clock()
            read(number)
            taken.append(clock() - start)
    return [statistics.median(taken[1:]) for taken in times]


def line(name: str, nanoseconds: float, limit: float) -> None:
    print(f"  {name:<34}{nanoseconds / 1e3:10.2f}{nanoseconds / limit:8.1f}x")


def preadv(path: Path, field: Any) -> Callable[[int], Any]:
    descriptor = os.open(path, os.O_RDONLY)

    def read(number: int) -> Any:
        values = np.empty_like(field)
        os.preadv(descriptor, [memoryview(values).cast("B")], number * values.nbytes)
        return values

    return read


def files(folder: Path, cells: int, rows: int, slow_rows: int) -> None:
    arrays = smooth(cells)
    fields = [pde.ScalarField(pde.UnitGrid([cells, cells]), a) for a in arrays] if pde else []
    head(f"append a float64 field of {cells} x {cells}, {rows} rows twice")

    def into(name: str, given: list[Any], count: int, **options: Any) -> Timing:
        theirs = name.startswith("py-pde")
        storage = (pde if theirs else holdfast).FileStorage(folder / f"{name}.h5", **options)
        return appending(folder, storage, given, count)

    raw, synced, plain, single = in_turn(
        lambda: write_timing(folder, arrays, rows),
        lambda: write_timing(folder, arrays, rows, sync=True),
        lambda: into("holdfast", arrays, rows),
        lambda: into("holdfast, float32", arrays, rows, dtype="f4"),
    )
    show("os.write (limit)", raw, raw, synced)
    show("os.write, fsync (limit)", synced, raw, synced)
    show("holdfast", plain, raw, synced)
    show("holdfast, float32", single, raw, synced)
    slow: dict[str, tuple[list[Any], dict[str, Any]]] = {
        "holdfast, gzip": (arrays, {"compression": "gzip"})
    }
    if fields:
        slow["holdfast, fields of py-pde"] = fields, {}
        slow["py-pde"] = fields, {"compression": False}
        slow["py-pde, gzip"] = fields, {"compression": True}
    for name, (given, options) in slow.items():
        show(name, into(name, given, slow_rows, **options), raw, synced)
    np.stack(arrays * (slow_rows // len(arrays) + 1)).tofile(folder / "raw")
    read_back(folder, arrays[0], ["holdfast", "holdfast, float32", *slow], slow_rows)


def read_back(folder: Path, field: Any, names: list[str], rows: int) -> None:
    cells, size, raw = len(field), field.nbytes, folder / "raw"
    print(
        f"\nread a field of {cells} x {cells} back\n  {'µs a field':<34}{'median':>10}{'ratio':>9}"
    )
    paths = [folder / f"{name}.h5" for name in names]
    storages = [
        (pde if name.startswith("py-pde") else holdfast).FileStorage(path, write_mode="readonly")
        for name, path in zip(names, paths, strict=True)
    ]
    limits = {
        "np.fromfile (limit)": lambda n: np.fromfile(raw, np.float64, field.size, offset=n * size),
        "preadv from an open file": preadv(raw, field),
    }
    times = reading([*limits.values(), *(storage.__getitem__ for storage in storages)], rows)
    for name, taken in zip([*limits, *names], times, strict=True):
        line(name, taken, times[0])
    for name, storage, path in zip(names, storages, paths, strict=True):
        part = path.stat().st_size / len(storage) / size
        print(f"  {name:<34}{part:10.2f} of the raw bytes on disk")
        storage.close()


def memory(folder: Path, cells: int, rows: int) -> None:
    head(f"append a field of {cells} x {cells} in memory")
    arrays = smooth(cells)
    copies: list[Any] = []
    calls = [(lambda values: copies.append(values.copy()), values) for values in arrays]
    limit = measure(calls, lambda: None, rows, folder)
    show("list append of a copy (limit)", limit, limit)
    show("holdfast", appending(folder, MemoryStorage(), arrays, rows), limit)
    if pde:
        fields = [pde.ScalarField(pde.UnitGrid([cells, cells]), a) for a in arrays]
        show("holdfast, fields of py-pde", appending(folder, MemoryStorage(), fields, rows), limit)
        show("py-pde", appending(folder, pde.MemoryStorage(), fields, rows), limit)


def work(folder: Path, cells: int, count: int) -> None:
    arrays = smooth(cells) * (count // 8)
    storages: dict[str, Any] = {"in memory": MemoryStorage.from_fields(arrays)}
    given = {"in a file": arrays}
    if pde:
        grid = pde.UnitGrid([cells, cells])
        given["of py-pde in a file"] = [pde.ScalarField(grid, values) for values in arrays]
    for name, fields in given.items():
        with holdfast.FileStorage(folder / f"{name}.h5", compression="gzip") as storage:
            storage.write(fields)
        storages[name] = storage
    for name, storage in storages.items():
        for func in (spectrum, mean):
            print(f"\napply {func.__name__} to {count} fields {name}, {cells} x {cells}")
            shared(storage, func)


def shared(storage: Any, func: Callable[[Any], float]) -> None:
    """Time all ways to share work; "again" is with workers of the call before."""
    print(f"  {'':<34}{'wall s':>10}{'ratio':>9}{'CPU here':>10}{'load':>7}")
    ways: list[tuple[Any, str]] = [(False, ""), ("threads", ""), ("auto", "")]
    if find_spec("loky"):
        ways += [("processes", ""), ("processes", ", again"), ("auto", ", again")]
    alone = 0.0
    for parallel, again in ways:
        if not again:
            without_workers(storage)
        start, used = time.perf_counter(), time.process_time()
        storage.apply(func, parallel=parallel)
        seconds, used = time.perf_counter() - start, time.process_time() - used
        alone = alone or seconds
        title = f"parallel={parallel}{again}"
        load = os.getloadavg()[0]
        print(f"  {title:<34}{seconds:10.3f}{alone / seconds:8.2f}x{used:10.3f}{load:7.1f}")


def without_workers(storage: Any) -> None:
    if _loky.is_warm():
        _loky.Workers(Task(storage.form, len, 1, {}, [], None), 1).end()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--dir", default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        for cells, rows in ((64, 20), (128, 10)) if options.small else SIZES:
            folder = Path(name) / str(cells)
            folder.mkdir()
            files(folder, cells, rows, max(rows // 10, 5))
        memory(Path(name), 128, 20 if options.small else 1000)
        work(Path(name), 64, 8 if options.small else 400)


ROUNDS = 5
SIZES = ((64, 4000), (128, 1000), (512, 100))

if __name__ == "__main__":
    main()
