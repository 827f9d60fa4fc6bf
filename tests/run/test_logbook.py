import dataclasses
import datetime as dt
import enum
import errno
import gc
import json
import math
import os
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import contents, open_files, output, temporaries
from holdfast import (
    AlreadyExistsError,
    InvalidInputError,
    LockedError,
    Logbook,
    LogReader,
    StateError,
)

BAD_NAMES = ["../x", "/x", "a\0b", "", "x" * 300, "a/../../x", "..", "a//b", ".tmp-1"]


def metadata(log: Logbook) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((log.path / "metadata.json").read_bytes())
    return content


# How a run begins


def test_a_run_begins_with_its_folder_metadata_and_log() -> None:
    log = Logbook("a")
    assert log.path == Path("outputs/log_a").absolute()
    assert {p.name for p in log.path.iterdir()} == {"metadata.json", "log.txt"}
    meta = metadata(log)
    assert (meta["status"], meta["run_id"], meta["format_version"]) == ("initialized", "a", 1)
    assert dt.datetime.fromisoformat(meta["start_time"]).tzinfo


def test_the_positions_of_the_arguments_are_notatas() -> None:
    called: list[Logbook] = []
    log = Logbook(7, "runs", {"x": 1}, True, True, called.append)  # noqa: FBT003 - the positions
    log.mark_complete()
    assert (log.run_id, log.path.parent.name, called) == ("7", "runs", [log])
    assert log.params() == {"x": 1}
    assert {"data", "plots", "artifacts"} <= {p.name for p in log.path.iterdir()}


def test_an_existing_run_is_kept_and_the_message_says_what_can_be_done() -> None:
    Logbook("a").text("x", "kept")
    before = contents(Path("outputs"))
    with pytest.raises(FileExistsError, match=r"overwrite=True.*retry=True") as caught:
        Logbook("a")
    assert isinstance(caught.value, AlreadyExistsError)
    assert contents(Path("outputs")) == before
    assert not temporaries(Path("outputs"))


@pytest.mark.parametrize("run_id", ["../x", "/x", "a/b", "a\0b", "", "x" * 300, "..", "a\nb"])
def test_a_run_id_that_is_no_plain_name_is_refused_and_nothing_is_made(run_id: str) -> None:
    with pytest.raises(InvalidInputError, match="run id"):
        Logbook(run_id)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("value", [object(), {"a": b"x"}, lambda: 0])
def test_parameters_that_cannot_be_stored_are_refused_and_nothing_is_made(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="params"):
        Logbook("a", params={"x": value})
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("params", [3, "text", [1, 2]])
def test_parameters_without_names_are_refused(params: Any) -> None:
    with pytest.raises(InvalidInputError, match="dictionary or a dataclass"):
        Logbook("a", params=params)


def test_a_folder_that_cannot_be_written_says_so(read_only_disk: Path) -> None:
    with pytest.raises(OSError, match=r"write run a in .*: read-only.*choose another base_dir"):
        Logbook("a", read_only_disk / "outputs")


def test_a_base_folder_below_a_file_says_so() -> None:
    Path("file").write_text("")
    with pytest.raises(NotADirectoryError, match="move it away"):
        Logbook("a", "file/outputs")


def test_a_dangling_symlink_in_the_place_of_a_run_is_left_alone() -> None:
    Path("outputs").mkdir()
    Path("outputs/log_a").symlink_to("nowhere")
    with pytest.raises(AlreadyExistsError):
        Logbook("a")
    with pytest.raises(StateError):
        Logbook("a", overwrite=True)
    assert Path("outputs/log_a").is_symlink()


def test_an_empty_folder_in_the_place_of_a_run_is_used() -> None:
    Path("outputs/log_a").mkdir(parents=True)
    assert Logbook("a").status == "initialized"


def test_a_run_goes_on_where_it_began_when_the_program_changes_its_folder() -> None:
    log = Logbook("a")
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")
    log.text("x", "y")
    log.mark_complete()
    assert log.status == "complete"
    assert list(Path().iterdir()) == []


# Overwriting


def test_overwriting_replaces_everything() -> None:
    with Logbook("a") as old:
        old.text("old", "x")
    with Logbook("a", overwrite=True) as new:
        new.text("new", "x")
    assert LogReader(new.path).artifact_files == ["new.txt"]
    assert {p.name for p in new.path.parent.iterdir()} == {"log_a", ".runs.lock"}


def test_a_folder_that_is_no_run_is_not_overwritten() -> None:
    Path("outputs/log_a").mkdir(parents=True)
    Path("outputs/log_a/thesis.tex").write_text("years of work")
    with pytest.raises(StateError, match="no run directory"):
        Logbook("a", overwrite=True)
    assert contents(Path("outputs")) == {"log_a/thesis.tex": b"years of work"}


def test_a_file_in_the_place_of_a_run_is_not_overwritten() -> None:
    Path("outputs").mkdir()
    Path("outputs/log_a").write_text("mine")
    with pytest.raises(StateError):
        Logbook("a", overwrite=True)
    with pytest.raises(AlreadyExistsError):
        Logbook("a")
    assert Path("outputs/log_a").read_text() == "mine"


def test_a_logbook_that_was_overwritten_in_the_same_process_writes_nothing_more() -> None:
    old = Logbook("a")
    old.info("old line")
    new = Logbook("a", overwrite=True)
    for write in (
        lambda: old.info("late"), lambda: old.json("x", 1), lambda: old.params(a=1),
        lambda: old.meta(a=1), old.mark_complete, lambda: old["x"],
    ):  # fmt: skip
        with pytest.raises(StateError, match="replaced"):
            write()
    assert [line.message for line in LogReader(new.path).log_lines()] == ["run a started"]
    assert new.status == "initialized"


def test_a_logbook_reached_through_a_symlink_is_the_same_run() -> None:
    Path("real").mkdir()
    Path("link").symlink_to("real")
    old = Logbook("a", "real")
    Logbook("a", "link", overwrite=True)
    with pytest.raises(StateError):
        old.info("late")


def test_an_error_in_the_block_of_an_overwritten_logbook_is_the_one_that_is_seen() -> None:
    with pytest.raises(ZeroDivisionError) as caught, Logbook("a"):  # noqa: PT012 - the block is what is tested
        new = Logbook("a", overwrite=True)
        _ = 1 / 0
    assert "replaced" in caught.value.__notes__[0]
    assert new.status == "initialized"


def test_if_the_new_run_cannot_be_made_the_old_one_stays(small_disk: Path) -> None:
    with Logbook("a", small_disk) as old:
        old.text("result", "precious")
    before = contents(old.path)
    fill(small_disk)
    with pytest.raises(OSError, match="No space"):
        Logbook("a", small_disk, overwrite=True, params={"text": "x" * 300_000})
    assert contents(old.path) == before
    assert not temporaries(small_disk)


def fill(folder: Path) -> None:
    with pytest.raises(OSError, match="No space"), (folder / "filling").open("wb", 0) as file:  # noqa: PT012 - the block is what is tested
        while True:
            file.write(bytes(4096))


# Two logbooks in one process


def test_two_logbooks_of_the_same_id_in_one_process_never_mix() -> None:
    one, two = Logbook("same", "one"), Logbook("same", "two")
    one.info("into one")
    two.info("into two")
    assert "into two" not in one.log_path.read_text()
    assert "into one" not in two.log_path.read_text()


def test_no_file_stays_open_after_the_run_ends(tmp_path: Path) -> None:
    for number in range(3):
        with Logbook(number, capture_logging=True) as log:
            log.info("x")
            log.array("x", [1])
    log.info("after the end")
    assert open_files(tmp_path) == []


def test_no_file_stays_open_when_the_run_could_not_be_marked(small_disk: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught, Logbook("a", small_disk) as log:  # noqa: PT012 - the block is what is tested
        log.info("x")
        fill(small_disk)
        _ = 1 / 0
    assert "No space" in caught.value.__notes__[0]
    assert open_files(small_disk) == []


def test_no_file_stays_open_when_a_logbook_is_dropped(tmp_path: Path) -> None:
    log = Logbook("a")
    log.info("x")
    assert open_files(tmp_path)
    del log
    gc.collect()
    assert open_files(tmp_path) == []


# How a run ends


def test_leaving_the_block_marks_complete_with_the_times() -> None:
    with Logbook("a") as log:
        assert log.status == "initialized"
    meta = metadata(log)
    assert meta["status"] == log.status == "complete"
    assert meta["end_time"] >= meta["start_time"]
    assert meta["runtime_sec"] == log.elapsed > 0


def test_elapsed_grows_while_the_run_goes_on() -> None:
    log = Logbook("a")
    first = log.elapsed
    assert log.elapsed > first > 0


def test_an_exception_marks_failed_with_reason_and_traceback_and_goes_on() -> None:
    with pytest.raises(ValueError, match="hit the ground"), Logbook("a") as log:
        raise ValueError("hit the ground")
    meta = metadata(log)
    assert (meta["status"], meta["failure_reason"]) == ("failed", "hit the ground")
    assert meta["failure_traceback"].startswith("Traceback")
    assert 'raise ValueError("hit the ground")' in meta["failure_traceback"]
    assert "ERROR run failed: hit the ground" in log.log_path.read_text()


class Mute(Exception):  # noqa: N818 - a user's class
    def __str__(self) -> str:
        raise AttributeError("broken")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError(), "ValueError: no message"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit: 3"),
        (SystemExit(), "SystemExit"),
        (Mute(), "Mute: its message cannot be shown (AttributeError)"),
        (RuntimeError("\udc80"), "\udc80"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_reason_tells_what_kind_of_end_it_was(error: BaseException, reason: str) -> None:
    with pytest.raises(type(error)), Logbook("a") as log:
        raise error
    assert (log.status, metadata(log)["failure_reason"]) == ("failed", reason)


def test_a_run_that_was_marked_by_hand_is_not_marked_again_at_the_end() -> None:
    with Logbook("a") as log:
        log.mark_failed("diverged")
    assert (log.status, metadata(log)["failure_reason"]) == ("failed", "diverged")


def test_a_later_mark_overrides_an_earlier_one() -> None:
    log = Logbook("a")
    log.mark_complete()
    log.mark_failed("no")
    assert log.status == "failed"
    log.mark_complete()
    assert log.status == "complete"
    assert "failure_reason" not in metadata(log)


def test_marking_failed_while_an_exception_is_handled_keeps_its_traceback() -> None:
    log = Logbook("a")
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        log.mark_failed("bad step")
    assert "ZeroDivisionError" in metadata(log)["failure_traceback"]


def test_the_callback_is_called_each_time_the_run_is_marked() -> None:
    states: list[str] = []
    log = Logbook("a", callback=lambda log: states.append(log.status))
    log.mark_complete()
    log.mark_failed("x")
    assert states == ["complete", "failed"]


def test_metadata_whose_names_sound_like_ours_are_kept_when_the_run_ends() -> None:
    with Logbook("a") as log:
        log.meta(failure_count=3, failures=["a"])
    assert metadata(log)["failure_count"] == 3


# Parameters and metadata


class Scheme(enum.Enum):
    LEAPFROG = "leapfrog"


@dataclasses.dataclass
class Settings:
    dt: float
    grid: np.ndarray[Any, Any]


SCIENTIFIC = {
    "scalar": np.float32(0.5),
    "count": np.int64(3),
    "flag": np.bool_(True),  # noqa: FBT003 - the value under test
    "array": np.array([[1.0, 2.0]]),
    "path": Path("a/b"),
    "when": dt.datetime(2024, 1, 2, tzinfo=dt.UTC),
    "scheme": Scheme.LEAPFROG,
    "settings": Settings(0.1, np.arange(2)),
    "complex": 1 + 2j,
    "nan": math.nan,
    "inf": -math.inf,
    "none": None,
    "text": "yes",
}
RESTORED = {
    "scalar": 0.5,
    "count": 3,
    "flag": True,
    "array": [[1.0, 2.0]],
    "path": "a/b",
    "when": "2024-01-02T00:00:00+00:00",
    "scheme": "leapfrog",
    "settings": {"dt": 0.1, "grid": [0, 1]},
    "complex": 1 + 2j,
    "nan": math.nan,
    "inf": -math.inf,
    "none": None,
    "text": "yes",
}


@pytest.mark.parametrize("ext", ["yaml", "json"])
def test_values_that_scientists_log_are_accepted_as_parameters_and_come_back(ext: str) -> None:
    log = Logbook("a")
    returned = log.params(SCIENTIFIC, ext=ext)
    assert repr(returned) == repr(RESTORED)
    assert repr(LogReader(log.path).params) == repr(RESTORED)


def test_values_that_scientists_log_are_accepted_as_json_and_metadata_and_come_back() -> None:
    log = Logbook("a")
    log.json("x", SCIENTIFIC)
    log.meta(result=SCIENTIFIC)
    reader = LogReader(log.path)
    assert repr(reader.load_json("x")) == repr(RESTORED)
    assert repr(reader.meta["result"]) == repr(RESTORED)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def test_strict_parsers_read_every_file() -> None:
    log = Logbook("a")
    log.json("x", SCIENTIFIC)
    log.meta(result=SCIENTIFIC)
    log.params(SCIENTIFIC, ext="json")
    log.mark_complete()
    for path in log.path.rglob("*.json"):
        json.loads(path.read_bytes(), parse_constant=refuse)
    log.params(SCIENTIFIC, ext="yaml")
    assert yaml.safe_load((log.path / "params.yaml").read_bytes())["nan"] != 0


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text(st.characters(exclude_categories=["Cc"]), min_size=1) | st.sampled_from(
    ["$complex", "$literal", "$numberDouble"]
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, PLAIN, min_size=1, max_size=4), st.sampled_from(["yaml", "json"]))
def test_whatever_parameters_are_accepted_come_back_as_they_were(
    params: dict[str, Any], ext: str
) -> None:
    log = Logbook("a", overwrite=True)
    log.params(params, ext=ext)
    found = LogReader(log.path).params
    assert repr(sorted(found.items())) == repr(sorted(params.items()))


def test_parameters_merge_and_the_other_form_is_removed() -> None:
    log = Logbook("a", params={"x": 1})
    assert log.params(y=2, ext="json") == {"x": 1, "y": 2}
    assert not (log.path / "params.yaml").exists()
    assert log.params(x=3) == {"x": 3, "y": 2}
    assert not (log.path / "params.json").exists()
    assert yaml.safe_load((log.path / "params.yaml").read_bytes()) == {"x": 3, "y": 2}


def test_parameters_may_have_the_names_of_arguments() -> None:
    log = Logbook("a")
    log.params({"ext": 1, "self": 2}, name=3, params=4)
    assert LogReader(log.path).params == {"ext": 1, "self": 2, "name": 3, "params": 4}


@pytest.mark.parametrize("new", [{"bad": object()}, {"deep": {"bad": [object()]}}])
def test_parameters_that_are_refused_change_nothing(new: dict[str, Any]) -> None:
    log = Logbook("a", params={"x": 1})
    before = contents(log.path)
    with pytest.raises(InvalidInputError):
        log.params(new, y=2)
    with pytest.raises(InvalidInputError, match=r"'yaml' or .*'json'"):
        log.params(y=2, ext="toml")
    assert contents(log.path) == before
    assert log.params() == {"x": 1}


def test_text_that_yaml_cannot_hold_is_refused_with_a_way_out() -> None:
    log = Logbook("a")
    with pytest.raises(InvalidInputError, match="ext='json'"):
        log.params(path="file\udcff")
    log.params(path="file\udcff", ext="json")
    assert LogReader(log.path).params == {"path": "file\udcff"}


def test_metadata_merge() -> None:
    log = Logbook("a")
    log.meta(a=1, b=2)
    log.meta(b=3)
    meta = LogReader(log.path).meta
    assert (meta["a"], meta["b"], meta["run_id"]) == (1, 3, "a")


@pytest.mark.parametrize("field", ["status", "run_id", "environment", "failure_reason", "attempt"])
def test_metadata_that_the_run_itself_writes_cannot_be_changed(field: str) -> None:
    log = Logbook("a")
    before = contents(log.path)
    with pytest.raises(InvalidInputError, match=field):
        log.meta(**{field: "complete"})
    assert contents(log.path) == before


# Saves


def test_arrays_come_back_bit_for_bit() -> None:
    log = Logbook("a")
    values = {
        "scalar": np.array(1.5),
        "empty": np.zeros((0, 3)),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "view": np.arange(10)[::3],
        "complex": np.array([1 + 2j, np.nan]),
        "text": np.array(["ab", "ü"]),
        "time": np.array(["2024-01-01"], "datetime64[s]"),
        "record": np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
        "big_endian": np.arange(3, dtype=">f8"),
    }
    for name, value in values.items():
        log.array(f"nested/{name}", value)
    log.arrays("bundle", values)
    reader = LogReader(log.path)
    for name, value in values.items():
        for found in (reader.load_array(f"nested/{name}"), reader.load_array(f"bundle:{name}")):
            assert (found.dtype, found.shape) == (value.dtype, value.shape)
            np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([[1], [1, 2]], "cannot be made"),
        ([object()], "Python objects"),
        (np.ma.array([1, 2], mask=[False, True]), "has a mask"),
    ],
)
def test_an_array_that_would_need_pickle_or_lose_something_is_refused(
    value: Any, problem: str
) -> None:
    log = Logbook("a")
    with pytest.raises(InvalidInputError, match=problem):
        log.array("x", value)
    with pytest.raises(InvalidInputError, match=problem):
        log.arrays("x", good=[1], bad=value)
    assert not log.datadir.exists()


def test_a_bundle_takes_any_names_compressed_or_not() -> None:
    log = Logbook("a")
    zeros = np.zeros(100_000)
    log.arrays("small", {"compressed": zeros, "name": zeros}, file=zeros)
    log.arrays("large", compressed=False, x=zeros)
    log.arrays("notata", False, x=zeros)  # noqa: FBT003 - notata's second position
    sizes = {path.stem: path.stat().st_size for path in log.datadir.iterdir()}
    assert sizes["small"] < 10_000
    assert min(sizes["large"], sizes["notata"]) > zeros.nbytes
    arrays = LogReader(log.path).arrays
    assert {"small:compressed", "small:file", "small:name", "large:x", "notata:x"} == set(arrays)


def test_members_whose_names_look_like_files_are_not_mixed_up() -> None:
    log = Logbook("a")
    log.arrays("b", {"x": [1], "x.npy": [2], "deep/x": [3]})
    reader = LogReader(log.path)
    assert [reader.load_array(name).tolist() for name in ("b:x", "b:x.npy", "b:deep/x")] == [
        [1],
        [2],
        [3],
    ]


def test_a_bundle_without_arrays_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no arrays"):
        Logbook("a").arrays("b")


def test_every_kind_of_artifact_is_saved_under_its_ending() -> None:
    log = Logbook("a")
    log.text("notes/day", "1\r\n2\udcff")
    log.json("metrics", {"a": 1})
    log.pickle("object", {1, 2})
    log.bytes("raw.bin", memoryview(b"\0\1"))
    assert contents(log.artifactsdir) == {
        "metrics.json": b'{\n  "a": 1\n}\n',
        "notes/day.txt": b"1\r\n2\xff",
        "object.pkl": pickle.dumps({1, 2}, protocol=pickle.HIGHEST_PROTOCOL),
        "raw.bin": b"\0\1",
    }


def test_the_names_of_the_documents_table_are_the_same_methods() -> None:
    log = Logbook("a")
    log.save_text("t", "x")
    log.save_json("j", 1)
    log.save_pickle("p", 1)
    log.save_bytes("b.bin", b"x")
    assert set(contents(log.artifactsdir)) == {"t.txt", "j.json", "p.pkl", "b.bin"}


@pytest.mark.parametrize(
    "save",
    [
        lambda log: log.bytes("x", "text"),
        lambda log: log.bytes("x", 1000),
        lambda log: log.text("x", "\ud800"),
        lambda log: log.pickle("x", lambda: 0),
        lambda log: log.json("x", object()),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_and_nothing_is_made(save: Any) -> None:
    log = Logbook("a")
    before = contents(log.path)
    with pytest.raises(InvalidInputError, match="'x'"):
        save(log)
    assert contents(log.path) == before


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize(
    "save",
    [
        lambda log, name: log.array(name, [1]),
        lambda log, name: log.arrays(name, x=[1]),
        lambda log, name: log.arrays("b", {name: [1]}),
        lambda log, name: log.text(name, ""),
        lambda log, name: log.json(name, 1),
        lambda log, name: log.pickle(name, 1),
        lambda log, name: log.bytes(name, b""),
        lambda log, name: log[name],
    ],
    ids=["array", "arrays", "member", "text", "json", "pickle", "bytes", "getitem"],
)
def test_a_name_that_leads_out_of_the_run_is_refused_by_every_save(save: Any, name: str) -> None:
    log = Logbook("a")
    before = contents(Path())
    with pytest.raises(InvalidInputError, match="choose a plain relative name"):
        save(log, name)
    assert contents(Path()) == before


def test_a_symlink_out_of_the_run_is_refused_by_every_save() -> None:
    log = Logbook("a")
    Path("outside").mkdir()
    for folder in ("data", "artifacts", "plots"):
        (log.path / folder).symlink_to(Path("outside").absolute())
    saves = (
        lambda: log.array("x", [1]), lambda: log.arrays("x", y=[1]), lambda: log.text("x", ""),
        lambda: log.json("x", 1), lambda: log.pickle("x", 1), lambda: log.bytes("x", b""),
        lambda: log["data/x"],
    )  # fmt: skip
    for save in saves:
        with pytest.raises(InvalidInputError, match="symlink"):
            save()
    assert list(Path("outside").iterdir()) == []


def test_every_save_logs_a_line_that_names_the_file() -> None:
    log = Logbook("a")
    log.array("states/T", np.zeros((2, 3)))
    log.arrays("b", x=[1])
    log.json("m", 1)
    log.params(x=1)
    messages = [line.message for line in LogReader(log.path).log_lines()]
    for name in ("data/states/T.npy (2, 3)", "data/b.npz", "artifacts/m.json", "params.yaml"):
        assert any(f"saved {name}" in message for message in messages), messages


def test_indexing_gives_a_path_in_the_run_with_its_folders_made() -> None:
    log = Logbook("a")
    path = log["data/raw/frames.bin"]
    path.write_bytes(b"x")
    assert path == log.path / "data" / "raw" / "frames.bin"


def test_saves_go_on_after_the_end() -> None:
    with Logbook("a") as log:
        pass
    log.json("late", 1)
    log.info("late line")
    log.meta(late=True)
    assert log.status == "complete"
    assert LogReader(log.path).load_json("late") == 1


# What became of the directory


def test_a_run_directory_that_was_moved_away_is_not_half_made_again() -> None:
    log = Logbook("a")
    log.path.rename("elsewhere")
    with pytest.raises(StateError, match="moved away"):
        log.array("x", [1])
    assert not log.path.exists()
    assert LogReader("elsewhere").log_lines()


def test_a_log_that_was_edited_by_hand_is_gone_on_with() -> None:
    log = Logbook("a")
    log.info("first")
    edited = log.log_path.read_text() + "# a remark\n"
    log.log_path.unlink()
    log.log_path.write_text(edited)
    log.info("second")
    text = log.log_path.read_text()
    assert re.search(r"first\n# a remark\n.*second\n$", text)


def test_damaged_metadata_are_mended_by_the_end_of_the_run() -> None:
    with Logbook("a") as log:
        log.meta(kept=1)
        (log.path / "metadata.json").write_text("{")
        log.log_path.unlink()
    assert metadata(log)["kept"] == 1
    assert log.status == "complete"


# How it looks


def test_it_shows_its_id_status_and_folder() -> None:
    log = Logbook("a")
    assert repr(log) == "Logbook('a', running)"
    log.params(dt=0.1, text="x\n\x1b")
    log.array("x", [1])
    log.array("y", [1])
    log.append("s", 1.0)
    log.record("t", a=1)
    log.json("m", 1)
    log.mark_complete()
    holds = "2 arrays, 1 stream, 1 table, 1 artifact"
    assert repr(log) == rf"Logbook('a', complete, dt=0.1, text=x\n\x1b, {holds})"
    assert repr(LogReader(log.path)) == repr(log).replace("Logbook", "LogReader")


def test_it_shows_itself_when_its_folder_is_gone() -> None:
    log = Logbook("a")
    shutil.rmtree(log.path)
    assert "no run directory" in repr(log)


def test_in_a_notebook_it_shows_everything_escaped() -> None:
    log = Logbook("<b>", params={"<i>": "<script>alert(1)</script>"})
    log.meta(x=1)
    log.mark_failed("<img src=x>")
    shown = log._repr_html_()
    assert "&lt;script&gt;" in shown
    for tag in ("<script", "<i>", "<img"):
        assert tag not in shown


# Another process


def test_a_run_that_another_living_process_writes_is_not_overwritten() -> None:
    program = """
        import os
        from holdfast import LockedError, Logbook
        log = Logbook("a")
        if os.fork() == 0:
            try:
                Logbook("a", overwrite=True)
            except LockedError as error:
                os._exit(7 if str(os.getppid()) in str(error) else 1)
            os._exit(2)
        print(os.waitstatus_to_exitcode(os.wait()[1]), log.status)
    """
    assert output(program) == "7 initialized"
    assert issubclass(LockedError, TimeoutError)


def test_of_processes_that_make_or_overwrite_one_run_at_once_the_winner_is_whole() -> None:
    program = """
        import os, sys, json
        from holdfast import HoldfastError, Logbook, LogReader
        import holdfast.run._environment
        holdfast.run._environment.environment()
        start, go = os.pipe()
        children = []
        for number in range(6):
            pid = os.fork()
            if pid == 0:
                os.close(go)
                os.read(start, 1)
                try:
                    log = Logbook("a", overwrite=True, params={"number": number})
                except HoldfastError:
                    os._exit(0)
                with log:
                    log.json("number", number)
                os._exit(0)
            children.append(pid)
        os.close(go)
        codes = {os.waitpid(pid, 0)[1] for pid in children}
        run = LogReader("outputs/log_a")
        left = set(os.listdir("outputs")) - {"log_a", ".runs.lock"}
        print(codes, left, run.state, run.params["number"] == run.load_json("number"))
    """
    for _ in range(5):
        assert output(program) == "{0} set() complete True"


@pytest.mark.parametrize("option", ["overwrite", "retry"])
def test_a_run_that_is_replaced_between_two_looks_at_it_gives_an_error_of_ours_at_most(
    option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output("from holdfast import Logbook; import os; Logbook('a'); os._exit(0)")

    def replaced(run: Path, meta: object) -> bool:
        os.rename(run, "elsewhere")
        return False

    monkeypatch.setattr("holdfast.run._metadata._lives", replaced)
    if option == "overwrite":
        assert Logbook("a", overwrite=True).status == "initialized"
    else:
        with pytest.raises(LockedError, match="is being replaced by another process"):
            Logbook("a", retry=True)


# Names and places


@pytest.mark.parametrize("name", ["", "a\nb", "a\x1b[31m"])
def test_a_parameter_whose_name_cannot_be_read_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="parameter name"):
        Logbook("a", params={name: 1})
    assert not Path("outputs/log_a").exists()


@pytest.mark.parametrize("name", ["streams.h5-journal/a", "x-journal", "a/b-journal/c"])
def test_an_array_cannot_stand_in_the_journal_of_the_streams(name: str) -> None:
    log = Logbook("a")
    with pytest.raises(InvalidInputError, match="is reserved"):
        log.array(name, [1])
    log.json(name, 1)  # among artifacts there are no journals
    assert log["data/streams.h5"].name == "streams.h5"


def test_a_file_in_the_way_of_a_folder_is_named() -> None:
    log = Logbook("a")
    log.json("f", 1)
    with pytest.raises(NotADirectoryError, match=r"is a file, not a folder.*f\.json'$"):
        log.json("f.json/x", 1)
    with pytest.raises(NotADirectoryError, match=r"is a file, not a folder.*f\.json'$"):
        log.json("f.json/x/y", 1)


def test_a_folder_in_the_way_of_a_file_is_named_and_no_temporary_file() -> None:
    log = Logbook("a")
    log.json("d.json/x", 1)
    with pytest.raises(IsADirectoryError) as caught:
        log.json("d", 1)
    assert str(caught.value.filename) == str(log.path / "artifacts/d.json")


def test_a_folder_without_permission_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("outputs").mkdir()
    real = Path.mkdir

    def refuse(path: Path, *arguments: Any, **options: Any) -> None:
        if path.parent.name == "outputs":  # a mode would not stop root, which runs the tests
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        real(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(
        PermissionError, match=r"cannot write run x in .*outputs: permission denied; choose another"
    ) as caught:
        Logbook("x")
    assert caught.value.errno == errno.EACCES
    assert ".tmp" not in str(caught.value)
