import json
import os
import pickle
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import contents
from holdfast import (
    FormatError,
    HoldfastError,
    HoldfastWarning,
    InvalidInputError,
    Logbook,
    LogReader,
    MissingFileError,
    NotFoundError,
)

FROZEN = Path(__file__).parent.parent / "data" / "format_1" / "log_frozen"
BAD_NAMES = ["../x", "/x", "a\0b", "", "x" * 300, "a/../../x", ".."]


@pytest.fixture
def run() -> LogReader:
    """A run with something of each kind."""
    with Logbook("a", params={"omega": 2.0}) as log:
        log.array("energy", [1.0, 2.0])
        log.array("states/T_step100", [3.0])
        log.arrays("trajectory", x=[1], v=[2])
        log.json("metrics", {"a": 1})
        log.json("deep/more", [1])
        log.text("notes", "hello")
        log.pickle("object", {1, 2})
        log.bytes("raw.bin", b"\0")
        log.info("a line")
    return LogReader(log.path)


def test_a_path_without_a_run_directory_is_missing() -> None:
    with pytest.raises(FileNotFoundError, match="check the path") as caught:
        LogReader("nowhere")
    assert isinstance(caught.value, MissingFileError)


def test_a_folder_that_is_no_run_is_told_apart_from_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a run directory") as caught:
        LogReader(tmp_path)
    assert isinstance(caught.value, FormatError)


def test_everything_is_listed_with_its_folders(run: LogReader) -> None:
    assert run.run_id == "a"
    assert run.status == run.state == "complete"
    assert run.params == run.load_params() == {"omega": 2.0}
    assert run.arrays == ["energy", "states/T_step100", "trajectory:v", "trajectory:x"]
    assert run.artifacts == ["deep/more", "metrics"]
    assert run.artifact_files == [
        "deep/more.json", "metrics.json", "notes.txt", "object.pkl", "raw.bin",
    ]  # fmt: skip
    assert run.plots == []


def test_everything_listed_can_be_loaded(run: LogReader) -> None:
    assert {name: run.load_array(name).tolist() for name in run.arrays} == {
        "energy": [1.0, 2.0],
        "states/T_step100": [3.0],
        "trajectory:v": [2],
        "trajectory:x": [1],
    }
    assert [run.load_json(name) for name in run.artifacts] == [[1], {"a": 1}]
    assert [run.load_artifact(name, trust=True) for name in run.artifact_files] == [
        [1], {"a": 1}, "hello", {1, 2}, b"\0",
    ]  # fmt: skip
    assert run.load_text("notes") == "hello"
    assert run.load_bytes("notes.txt") == b"hello"


@pytest.mark.parametrize("run_id", ["log_a_log_b", "log_", "log_log_x", "a log_b"])
def test_a_run_id_that_holds_log_comes_back_whole(run_id: str) -> None:
    log = Logbook(run_id)
    assert LogReader(log.path).run_id == run_id
    (log.path / "metadata.json").write_text('{"status": "complete"}')
    assert LogReader(log.path).run_id == run_id


def test_an_empty_run_has_empty_lists() -> None:
    reader = LogReader(Logbook("a").path)
    assert (reader.params, reader.arrays, reader.artifacts, reader.plots, reader.attempts) == (
        {}, [], [], [], [],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("load", "there"),
    [
        (lambda run: run.load_array("enrgy"), "energy.*did you mean 'energy'"),
        (lambda run: run.load_array("nothing:x"), "trajectory:x"),
        (lambda run: run.load_json("metric"), "metrics.json"),
        (lambda run: run.load_text("metrics"), "notes.txt"),
        (lambda run: run.load_bytes("raw"), "raw.bin"),
        (lambda run: run.load_pickle("x", trust=True), "object.pkl"),
        (lambda run: run.load_artifact("x.json"), "metrics.json"),
    ],
)
def test_a_missing_name_lists_what_is_there(run: LogReader, load: Any, there: str) -> None:
    with pytest.raises(FileNotFoundError, match=there) as caught:
        load(run)
    assert isinstance(caught.value, MissingFileError)


def test_a_missing_member_lists_the_members(run: LogReader) -> None:
    with pytest.raises(KeyError, match="it holds v, x") as caught:
        run.load_array("trajectory:y")
    assert isinstance(caught.value, NotFoundError)


def test_an_array_whose_name_holds_a_colon_is_found() -> None:
    log = Logbook("a")
    log.array("time 10:30", [1])
    log.arrays("bundle 10:30", x=[2])
    reader = LogReader(log.path)
    assert [reader.load_array(name).tolist() for name in reader.arrays] == [[2], [1]]


def test_an_artifact_that_is_only_an_ending_is_read_as_bytes() -> None:
    log = Logbook("a")
    for name in (".json", ".txt", "deep/.pkl", "plain", "a.b/c"):
        log.bytes(name, b"x")
    reader = LogReader(log.path)
    assert [reader.load_artifact(name) for name in reader.artifact_files] == [b"x"] * 5


READS = {
    "load_array": lambda run, name: run.load_array(name),
    "bundle": lambda run, name: run.load_array(f"{name}:x"),
    "load_json": lambda run, name: run.load_json(name),
    "load_text": lambda run, name: run.load_text(name),
    "load_bytes": lambda run, name: run.load_bytes(name),
    "load_pickle": lambda run, name: run.load_pickle(name, trust=True),
    "load_artifact": lambda run, name: run.load_artifact(name),
    "getitem": lambda run, name: run[name],
}


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_name_that_leads_out_of_the_run_is_refused_by_every_read(
    run: LogReader, read: Any, name: str
) -> None:
    with pytest.raises(InvalidInputError):
        read(run, name)


def test_a_symlink_out_of_the_run_is_refused_by_every_read(run: LogReader) -> None:
    outside = Path("outside").absolute()
    (run.path / "data").rename(outside)
    (run.path / "data").symlink_to(outside)
    for name in ("metrics.json", "notes.txt", "object.pkl"):
        (run.path / "artifacts" / name).rename(outside / name)
        (run.path / "artifacts" / name).symlink_to(outside / name)
    reads = (
        lambda: run.load_array("energy"), lambda: run.load_array("trajectory:x"),
        lambda: run.load_json("metrics"), lambda: run.load_text("notes"),
        lambda: run.load_pickle("object", trust=True), lambda: run.load_bytes("notes.txt"),
        lambda: run.load_artifact("metrics.json"), lambda: run["data/energy.npy"],
    )  # fmt: skip
    for read in reads:
        with pytest.raises(InvalidInputError, match="symlink"):
            read()


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("metadata.json", lambda run: run.meta),
        ("metadata.json", lambda run: run.state),
        ("params.yaml", lambda run: run.params),
        ("log.txt", lambda run: run.log_lines()),
        ("log.txt", lambda run: next(run.follow_log())),
    ],
)
def test_the_runs_own_files_are_not_read_through_a_symlink_out_of_it(
    run: LogReader, name: str, read: Any
) -> None:
    (run.path / name).rename("elsewhere")
    (run.path / name).symlink_to(Path("elsewhere").absolute())
    with pytest.raises(InvalidInputError, match="symlink"):
        read(run)


def test_a_pickle_is_only_read_on_explicit_request(run: LogReader) -> None:
    Path(run["artifacts/evil.pkl"]).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InvalidInputError, match="trust=True"):
        run.load_pickle("evil")
    with pytest.raises(InvalidInputError, match="trust=True"):
        run.load_artifact("evil.pkl")
    assert not Path("ran").exists()
    run.load_pickle("evil", trust=True)
    assert Path("ran").exists()


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("ran",)


def test_an_array_file_that_holds_a_pickle_is_refused(run: LogReader) -> None:
    objects = np.array([Evil()], dtype=object)
    np.save(run["data/evil.npy"], objects, allow_pickle=True)
    np.savez(run["data/evils.npz"], x=objects)
    for name in ("evil", "evils:x"):
        with pytest.raises(FormatError, match="damaged or no plain array"):
            run.load_array(name)
    assert not Path("ran").exists()


def test_a_reader_needs_no_write_permission_and_changes_nothing(run: LogReader) -> None:
    before = {path: path.stat() for path in run.path.rglob("*")}
    str(run), run._repr_html_(), run.arrays, run.state, run.log_lines(), list(run.follow_log())
    after = {path: path.stat() for path in run.path.rglob("*")}
    assert {p: (s.st_mtime_ns, s.st_ino) for p, s in before.items()} == {
        p: (s.st_mtime_ns, s.st_ino) for p, s in after.items()
    }


# Damage


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b'{"status": 3}', b"\xff", b"null"])
def test_damaged_metadata_say_which_file_and_the_rest_can_be_read(
    run: LogReader, content: bytes
) -> None:
    (run.path / "metadata.json").write_bytes(content)
    with pytest.raises(FormatError, match=r"metadata\.json"):
        _ = run.meta
    assert run.run_id == "a"
    assert "unreadable" in str(run)
    assert "unreadable" in run._repr_html_()
    assert run.load_array("energy").tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "content", [b"{", b"- 1", b"3", b"a: [", b"!!python/object:os.system x", b"\xff\xfe\xff",
                b"a: 2024-99-99", b"a: &a [*a, $]", b"\0"]
)  # fmt: skip
def test_damaged_parameters_say_which_file(run: LogReader, content: bytes) -> None:
    (run.path / "params.yaml").write_bytes(content)
    with pytest.raises(FormatError, match=r"params\.yaml"):
        _ = run.params
    assert "params.yaml" in str(run)


@pytest.mark.parametrize("environment", [None, [], 3, {"host": 1}, {"host": "h", "pid": 10**40}])
def test_strange_metadata_of_an_unfinished_run_still_give_a_state(environment: Any) -> None:
    log = Logbook("a")
    meta = {"status": "initialized", "environment": environment, "runtime_sec": "long"}
    log._save_meta(meta)
    assert LogReader(log.path).state == "running"
    os.utime(log.log_path, (0, 0))
    assert LogReader(log.path).state == "interrupted"
    log.log_path.unlink()
    assert LogReader(log.path).state == "interrupted"
    assert "interrupted" in str(LogReader(log.path))


def test_one_damaged_bundle_is_named_and_does_not_hide_the_others(run: LogReader) -> None:
    (run.path / "data" / "trajectory.npz").write_bytes(b"PK damaged")
    with pytest.warns(HoldfastWarning, match=r"trajectory\.npz"):
        assert run.arrays == ["energy", "states/T_step100"]
    with pytest.warns(HoldfastWarning, match=r"trajectory\.npz"):
        assert "energy" in str(run)
    with pytest.raises(FormatError, match=r"trajectory\.npz"):
        run.load_array("trajectory:x")


@pytest.mark.parametrize("name", ["energy.npy", "trajectory.npz", "object.pkl", "metrics.json"])
def test_damage_of_any_kind_gives_an_error_of_ours_or_readable_values(
    run: LogReader, name: str
) -> None:
    path = next(run.path.rglob(name))
    whole = path.read_bytes()
    chance = random.Random(name)  # noqa: S311 - a test to be repeated
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged[: chance.choice([len(whole), chance.randrange(len(whole))])])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _ = run.arrays
            for load in (
                lambda: run.load_array("energy"), lambda: run.load_array("trajectory:x"),
                lambda: run.load_json("metrics"), lambda: run.load_pickle("object", trust=True),
            ):  # fmt: skip
                try:
                    load()
                except HoldfastError:
                    continue


def test_files_that_are_being_written_are_not_listed(run: LogReader) -> None:
    for folder in ("data", "artifacts", "plots"):
        (run.path / folder).mkdir(exist_ok=True)
        (run.path / folder / ".tmp-1-2-3").write_bytes(b"half")
        (run.path / folder / ".tmp-dir").mkdir()
        (run.path / folder / ".tmp-dir" / "x.json").write_bytes(b"half")
    assert len(run.arrays) == 4
    assert len(run.artifact_files) == 5
    assert run.plots == []


# How it looks


def test_text_tells_state_parameters_and_contents_at_a_glance(run: LogReader) -> None:
    text = str(run)
    for part in ("Run a", "complete", "omega=2", "energy", "metrics.json", "runtime"):
        assert part in text
    assert repr(run).startswith("LogReader('a', complete, ")
    assert "\n" not in repr(run)


def test_a_notebook_shows_the_same_escaped() -> None:
    log = Logbook("a", params={"text": "<script>"})
    log.json("<script>", 1)
    shown = LogReader(log.path)._repr_html_()
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 2


# Earlier versions


def test_a_run_directory_of_format_version_1_always_opens() -> None:
    run = LogReader(FROZEN)
    assert (run.run_id, run.state, run.meta["format_version"]) == ("frozen", "failed", 1)
    assert run.meta["failure_reason"] == "hit the ground"
    assert repr(run.params) == "{'dt': 0.01, 'z': (1+2j), 'limit': inf, 'scheme': 'leapfrog'}"
    assert run.arrays == ["energy", "states/T_step100", "trajectory:v", "trajectory:x"]
    assert [run.load_array(name).tolist() for name in run.arrays] == [
        [1.0, 2.0], [[3.0]], [0.0, 1.0], [1, 2],
    ]  # fmt: skip
    assert repr(run.load_json("metrics")) == "{'mean': nan, 'z': 1j}"
    assert run.load_text("notes") == "größer\n"
    assert run.load_bytes("raw/frames.bin") == b"\x00\x01"
    assert run.load_pickle("object", trust=True) == {"a": (1, 2)}
    assert run.plots == ["field.svg"]
    assert [line.level for line in run.log_lines()][-1] == "ERROR"
    assert "step=1\nx=2" in [line.message for line in run.log_lines()]
    (attempt,) = run.attempts
    assert (attempt.run_id, attempt.state) == ("frozen", "failed")
    assert attempt.load_array("energy").tolist() == [0.0]


def test_a_run_that_notata_wrote_can_be_read() -> None:
    path = Path("outputs/log_ball_log_1")
    (path / "data").mkdir(parents=True)
    (path / "artifacts").mkdir()
    (path / "metadata.json").write_text(
        '{"status": "complete", "start_time": "2025-01-01T00:00:00", "run_id": "ball_log_1"}'
    )
    (path / "log.txt").write_text("[2025-01-01T00:00:00] INFO started\n")
    (path / "params.json").write_text('{"dt": 0.1}')
    np.savez_compressed(path / "data" / "b.npz", x=[1.0])
    run = LogReader(path)
    assert (run.run_id, run.state, run.params) == ("ball_log_1", "complete", {"dt": 0.1})
    assert run.load_array("b:x").tolist() == [1.0]
    assert str(run)
    assert [line.message for line in run.log_lines()] == ["started"]


def test_nothing_in_a_run_directory_is_written_by_listing_it(run: LogReader) -> None:
    before = contents(run.path)
    _ = run.arrays, run.artifacts, run.plots, run.attempts
    assert contents(run.path) == before


@pytest.mark.parametrize("damage", ["streams", "records", "params"])
def test_one_damaged_thing_does_not_hide_the_rest(damage: str) -> None:
    log = Logbook("a", params={"dt": 0.25})
    log.array("energy", [1])
    log.mark_complete()
    match damage:
        case "streams":
            (log.path / "data/streams.h5").write_bytes(b"junk" * 100)
        case "records":
            Path("elsewhere.jsonl").write_text("{}\n")
            (log.path / "records").mkdir()
            (log.path / "records/a.jsonl").symlink_to(Path("elsewhere.jsonl").absolute())
        case "params":
            (log.path / "params.yaml").write_text("[")
    reader = LogReader(log.path)
    for shown in (str(reader), reader._repr_html_()):
        assert "energy" in shown
        assert "unreadable: " in shown
    assert "1 array" in repr(reader)


def test_no_text_of_a_file_steers_the_terminal() -> None:
    log = Logbook("a")
    log.mark_failed("\x1b]0;owned\x07")
    meta = json.loads((log.path / "metadata.json").read_text())
    meta["run_id"] = "\x1b[2J"
    (log.path / "metadata.json").write_text(json.dumps(meta))
    (log.path / "params.json").write_text('{"\\u001b[31m": 1}')
    reader = LogReader(log.path)
    assert "\x1b" not in str(reader) + repr(reader)
    assert "owned" in str(reader)


def test_an_unknown_status_is_named_and_not_taken_for_an_interrupted_run() -> None:
    log = Logbook("a")
    meta = json.loads((log.path / "metadata.json").read_text()) | {"status": "paused"}
    (log.path / "metadata.json").write_text(json.dumps(meta))
    with pytest.raises(FormatError, match=r"unknown status 'paused'.*later version"):
        _ = LogReader(log.path).state


def test_a_reader_goes_on_after_a_change_of_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    Logbook("a").mark_complete()
    reader = LogReader("outputs/log_a")
    monkeypatch.chdir("/")
    assert reader.state == "complete"


@pytest.mark.parametrize("symlinked", [False, True])
@pytest.mark.parametrize(
    "name", ["log.txt", "params.yaml", "data/x.npz", "data/streams.h5", "records/x.jsonl"]
)
def test_a_named_pipe_in_a_run_is_refused_and_not_waited_for(name: str, *, symlinked: bool) -> None:
    Logbook("a").mark_complete()
    run = LogReader("outputs/log_a")
    place = run.path / name
    place.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True)
    os.mkfifo(run.path / "pipe" if symlinked else place)
    if symlinked:
        place.symlink_to(run.path / "pipe")

    if name == "data/x.npz":
        with pytest.warns(HoldfastWarning, match="is a named pipe"):
            assert run.arrays == []
        return
    read: dict[str, Callable[[], object]] = {
        "log.txt": run.log_lines,
        "params.yaml": run.load_params,
        "data/streams.h5": lambda: run.stream("x"),
        "records/x.jsonl": lambda: run.records("x"),
    }
    with pytest.raises(InvalidInputError, match="is a named pipe"):
        read[name]()
