import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import contents, output, temporaries
from holdfast import Logbook, LogReader

BIG = np.random.default_rng(0).bytes(2_000_000)
SAVES: dict[str, Callable[[Logbook, Any], object]] = {
    "array": lambda log, data: log.array("x", np.frombuffer(data, "u1")),
    "fortran array": lambda log, data: log.array("x", np.frombuffer(data, "u1").reshape(-1, 10).T),
    "arrays": lambda log, data: log.arrays("x", x=np.frombuffer(data, "u1")),
    "plain arrays": lambda log, data: log.arrays(
        "x", compressed=False, x=np.frombuffer(data, "u1")
    ),
    "text": lambda log, data: log.text("x", data.hex()),
    "json": lambda log, data: log.json("x", data.hex()),
    "pickle": lambda log, data: log.pickle("x", data),
    "bytes": lambda log, data: log.bytes("x", data),
    "params": lambda log, data: log.params(x=data.hex()),
    "json params": lambda log, data: log.params(x=data.hex(), ext="json"),
    "meta": lambda log, data: log.meta(x=data.hex()),
    "note": lambda log, data: log.note(data.hex()),
}
every_save = pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)


def fill(folder: Path) -> Path:
    """Leave no byte free, and return the file that takes them."""
    path = folder / "filling"
    with path.open("wb", 0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017 - what the loop is for
    return path


def ours(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(folder).items() if name != "filling"}


@every_save
def test_what_does_not_fit_is_refused_and_everything_stays_as_it_was(
    small_disk: Path, save: Callable[[Logbook, Any], object]
) -> None:
    log = Logbook("a", small_disk, params={"first": 1})
    save(log, BIG[:10_000])
    before = ours(small_disk)
    with pytest.raises(OSError, match="No space") as caught:
        save(log, BIG)
    assert caught.value.errno == errno.ENOSPC
    assert ours(small_disk) == before
    assert not temporaries(small_disk)


@every_save
def test_on_a_full_disk_every_save_is_refused_and_goes_on_when_there_is_space(
    small_disk: Path, save: Callable[[Logbook, Any], object]
) -> None:
    log = Logbook("a", small_disk, params={"first": 1})
    save(log, BIG[:9000])
    filling = fill(small_disk)
    before = ours(small_disk)
    with pytest.raises(OSError, match="No space") as caught:
        save(log, BIG[:10_000])
    assert caught.value.errno == errno.ENOSPC
    assert ours(small_disk) == before
    assert not temporaries(small_disk)
    filling.unlink()
    save(log, BIG[:10_000])
    assert ours(small_disk) != before
    log.mark_complete()
    assert log.status == "complete"


@pytest.mark.parametrize("save", [SAVES[kind] for kind in SAVES if kind != "note"])
def test_a_small_save_that_does_not_fit_is_not_logged_as_saved(
    small_disk: Path, save: Callable[[Logbook, Any], object]
) -> None:
    log = Logbook("a", small_disk, params={"first": 1})
    save(log, BIG[:100])
    fill(small_disk)
    before = ours(small_disk)
    with pytest.raises(OSError, match="No space"):
        save(log, BIG[:100])
    assert ours(small_disk) == before


def test_a_line_of_which_a_part_fits_is_cut_off_again(small_disk: Path) -> None:
    log = Logbook("a", small_disk)
    fill(small_disk)
    before = log.log_path.read_bytes()
    with pytest.raises(OSError, match="No space"):
        log.info("x" * 10_000)
    assert log.log_path.read_bytes() == before
    log.info("short")  # what was cut off has left room in the last block
    assert log.log_path.read_bytes().startswith(before)
    assert log.log_path.read_text().endswith("INFO short\n")


def test_a_run_that_cannot_be_marked_for_want_of_space_can_be_marked_later(
    small_disk: Path,
) -> None:
    marked: list[str] = []
    log = Logbook("a", small_disk, callback=lambda log: marked.append(log.status))
    log.json("x", 1)
    filling = fill(small_disk)
    for mark in (log.mark_complete, lambda: log.mark_failed("x")):
        with pytest.raises(OSError, match="No space") as caught:
            mark()
        assert caught.value.errno == errno.ENOSPC
    assert (log.status, LogReader(log.path).state, marked) == ("initialized", "running", [])
    assert not temporaries(small_disk)
    filling.unlink()
    log.mark_complete()
    assert (log.status, marked) == ("complete", ["complete"])


def test_after_a_mark_that_did_not_fit_the_run_takes_rows_and_does_not_say_complete(
    small_disk: Path,
) -> None:
    log = Logbook("a", small_disk)
    log.append("x", 1.0)
    log.record("r", a=1)
    filling = fill(small_disk)
    with pytest.raises(OSError, match="No space"):
        log.mark_complete()
    assert "run complete" not in log.log_path.read_text()
    filling.unlink()
    log.append("y", 2.0)
    log.record("r", a=2)
    log.record("s", a=3)
    log.mark_complete()
    run = LogReader(log.path)
    assert [line.message for line in run.log_lines()].count("run complete") == 1
    assert (run.state, run.streams, len(run.records("r"))) == ("complete", ["x", "y"], 2)


def test_metadata_that_do_not_fit_leave_no_word_of_an_end_in_the_log(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Logbook("a", small_disk)
    (small_disk / "filling").write_bytes(bytes(1))

    def full(*_: Any) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("holdfast.run._logbook.dump_json", full)
        with pytest.raises(OSError, match="No space"):
            log.mark_complete()
    assert "run complete" not in log.log_path.read_text()


def test_leaving_the_block_on_a_full_disk_says_so_and_the_run_can_be_marked_later(
    small_disk: Path,
) -> None:
    with pytest.raises(OSError, match="No space"), Logbook("a", small_disk) as log:
        filling = fill(small_disk)
    filling.unlink()
    log.mark_complete()
    assert log.status == "complete"


def test_an_exception_on_a_full_disk_is_the_one_that_is_seen(small_disk: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught, Logbook("a", small_disk) as log:  # noqa: PT012 - the block is what is tested
        fill(small_disk)
        _ = 1 / 0
    assert "No space" in caught.value.__notes__[0]
    assert log.status == "initialized"


def test_a_run_that_cannot_begin_for_want_of_space_leaves_nothing(small_disk: Path) -> None:
    (small_disk / "outputs").mkdir()
    fill(small_disk)
    with pytest.raises(OSError, match="No space"):
        Logbook("a", small_disk / "outputs")
    assert list((small_disk / "outputs").iterdir()) == []


def test_a_retry_that_cannot_begin_for_want_of_space_loses_nothing(small_disk: Path) -> None:
    log = Logbook("a", small_disk)
    log.bytes("x.bin", BIG[:10_000])
    log.mark_failed("x")
    old = contents(log.path)
    filling = fill(small_disk)
    with pytest.raises(OSError, match="No space"):
        Logbook("a", small_disk, params={"x": "x" * 5000}, retry=True)
    assert LogReader(log.path).state == "failed"
    filling.unlink()
    Logbook("a", small_disk, retry=True)
    assert contents(log.path / "attempts/1") == old


@every_save
def test_a_file_above_the_size_limit_is_refused_with_its_own_error(
    save: Callable[[Logbook, Any], object], request: pytest.FixtureRequest
) -> None:
    """A quota or ``ulimit -f`` stops a file where there is space on the disk."""
    program = """
        import errno, resource, sys
        sys.path.insert(0, sys.argv[1])
        from test_full_disk import BIG, SAVES, contents, temporaries
        from holdfast import Logbook
        save = SAVES[sys.argv[2]]
        log = Logbook("a", params={"first": 1})
        save(log, BIG[:10_000])
        before = contents(log.path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        try:
            save(log, BIG)
        except OSError as error:
            print(errno.errorcode[error.errno], contents(log.path) == before, temporaries(log.path))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        save(log, BIG)
        log.mark_complete()
        print(log.status)
    """
    name = request.node.callspec.id
    here = Path(__file__).parent
    program = program.replace("sys.argv[1])", "sys.argv[1]); sys.path.insert(0, sys.argv[3])")
    assert output(program, here, name, here.parent).splitlines() == ["EFBIG True []", "complete"]
