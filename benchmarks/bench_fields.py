"""Fields over time beside py-pde and the physical limit, measured in one run.

    python benchmarks/bench_fields.py [--small] [--dir FOLDER]

Appends are timed one by one (median and p99.9) and all together, the end of writing included
(sustained); the limit is an ``os.write`` of the same bytes. Reads are of one field after another;
the limits are ``np.fromfile`` of its bytes, and a ``preadv`` from an open file. Fields are of a
simulation (smooth), so that compression has something to gain. py-pde, where it is installed, gets
its own fields, and so does Holdfast in the lines that say so.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_streams import Timing, head, measure, show  # type: ignore[import-not-found]

from holdfast.fields import FileStorage, MemoryStorage

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


def appending(storage: Any, fields: list[Any], rows: int) -> Timing:
    storage.start_writing(fields[0])
    times = iter(range(4 * rows))
    timing = measure(
        lambda n: storage.append(fields[n % len(fields)], next(times)), storage.end_writing, rows
    )
    if hasattr(storage, "close"):
        storage.close()
    return timing


def raw_writes(path: Path, fields: list[Any], rows: int) -> Timing:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    views = [memoryview(field) for field in fields]
    return measure(
        lambda n: os.write(descriptor, views[n % len(views)]), lambda: os.close(descriptor), rows
    )


def reading(read: Callable[[int], Any], rows: int) -> float:
    """Return the median of the times to read one field, in nanoseconds."""
    read(0)
    clock = time.perf_counter_ns
    times = []
    for number in range(rows):
        start = clock()
        read(number)
        times.append(clock() - start)
    return statistics.median(times)


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
    raw = folder / "raw"
    limit = raw_writes(raw, arrays, rows)
    show("os.write (limit)", limit, limit)
    ours: list[tuple[str, Path]] = []
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("holdfast", {}),
        ("holdfast, gzip", {"compression": "gzip"}),
        ("holdfast, float32", {"dtype": "f4"}),
    ]
    for name, options in kinds:
        path = folder / f"{name.replace(', ', '-')}.h5"
        count = slow_rows if "gzip" in name else rows
        show(name, appending(FileStorage(path, **options), arrays, count), limit)
        ours.append((name, path))
    if fields:
        path = folder / "holdfast-pde.h5"
        show("holdfast, fields of py-pde", appending(FileStorage(path), fields, rows), limit)
        ours.append(("holdfast, fields of py-pde", path))
        for name, compression in (("py-pde", False), ("py-pde, gzip", True)):
            path = folder / f"{name.replace(', ', '-')}.h5"
            theirs = pde.FileStorage(path, compression=compression)
            show(name, appending(theirs, fields, slow_rows), limit)
            ours.append((name, path))
    read_back(raw, arrays[0], ours, slow_rows)


def read_back(raw: Path, field: Any, files: list[tuple[str, Path]], rows: int) -> None:
    cells, size = len(field), field.nbytes
    print(
        f"\nread a field of {cells} x {cells} back\n  {'µs a field':<34}{'median':>10}{'ratio':>9}"
    )
    limit = reading(lambda n: np.fromfile(raw, np.float64, field.size, offset=n * size), rows)
    line("np.fromfile (limit)", limit, limit)
    line("preadv from an open file", reading(preadv(raw, field), rows), limit)
    for name, path in files:
        theirs = name.startswith("py-pde")
        storage = (pde if theirs else _ours()).FileStorage(path, write_mode="readonly")
        line(name, reading(storage.__getitem__, rows), limit)
        rows_there = len(storage)
        storage.close()
        print(f"  {'':<34}{path.stat().st_size / rows_there / size:10.2f} of the raw bytes on disk")


def _ours() -> Any:
    import holdfast

    return holdfast


def memory(cells: int, rows: int) -> None:
    head(f"append a field of {cells} x {cells} in memory")
    arrays = smooth(cells)
    copies: list[Any] = []
    limit = measure(lambda n: copies.append(arrays[n % 8].copy()), lambda: None, rows)
    show("list append of a copy (limit)", limit, limit)
    show("holdfast", appending(MemoryStorage(), arrays, rows), limit)
    if pde:
        fields = [pde.ScalarField(pde.UnitGrid([cells, cells]), a) for a in arrays]
        show("holdfast, fields of py-pde", appending(MemoryStorage(), fields, rows), limit)
        show("py-pde", appending(pde.MemoryStorage(), fields, rows), limit)


def spectrum(field: Any) -> float:
    """Some work in the manner of an analysis, of which NumPy does a part."""
    total = 0.0
    for _ in range(4):
        total += float(np.abs(np.fft.fft2(field)).sum())
        total += sum(number * number for number in range(20_000))
    return total


def work(cells: int, count: int) -> None:
    print(f"\napply a function to {count} fields of {cells} x {cells}")
    storage = MemoryStorage.from_fields(smooth(cells) * (count // 8))
    alone = 0.0
    for parallel in (False, "threads", "processes"):
        start = time.perf_counter()
        storage.apply(spectrum, parallel=parallel)
        seconds = time.perf_counter() - start
        alone = alone or seconds
        print(f"  {f'parallel={parallel}':<34}{seconds:10.2f} s{alone / seconds:8.2f}x as fast")


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
        memory(128, 20 if options.small else 1000)
        work(64, 8 if options.small else 400)


SIZES = ((64, 4000), (128, 2000), (512, 200))

if __name__ == "__main__":
    main()
