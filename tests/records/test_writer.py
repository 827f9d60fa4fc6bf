"""`RecordWriter` and `Record`: a row that was saved is kept, whole, whatever happens next."""

import datetime as dt
import errno
import json
import math
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import open_files, output
from holdfast._sync import Durability
from holdfast.errors import InvalidInputError
from holdfast.records import Records, RecordWriter, record_file


@pytest.fixture
def writer() -> RecordWriter:
    return RecordWriter(Path("records/train.jsonl").absolute(), Durability())


def values(records: Records) -> list[dict[str, Any]]:
    return [{name: row[name] for name in row if name != "timestamp"} for row in records]


def test_a_row_is_filled_like_a_dictionary_saved_and_empty_again(writer: RecordWriter) -> None:
    record = writer.row()
    for iteration in range(3):
        record["iteration"] = iteration
        record["accuracy"] = 0.1
        assert dict(record) == {"iteration": iteration, "accuracy": 0.1}
        record.save()
        assert len(record) == 0
    assert values(Records(writer.path)) == [{"iteration": i, "accuracy": 0.1} for i in range(3)]


def test_one_call_saves_a_row(writer: RecordWriter) -> None:
    writer.save(iteration=1, accuracy=0.5)
    writer.save({"max T": 3}, values=2, self=1)
    assert values(Records(writer.path)) == [
        {"iteration": 1, "accuracy": 0.5},
        {"max T": 3, "values": 2, "self": 1},
    ]


def test_a_value_can_be_taken_out_of_a_row_again(writer: RecordWriter) -> None:
    record = writer.row()
    record.update(a=1, b=2)
    del record["a"]
    assert repr(record) == "Record({'b': 2})"
    record.save()
    assert values(Records(writer.path)) == [{"b": 2}]


def test_an_empty_row_is_kept_only_by_force(writer: RecordWriter) -> None:
    writer.row().save()
    writer.save()
    assert not writer.path.exists()
    writer.row().save(force=True)
    assert values(Records(writer.path)) == [{}]


def test_each_line_is_json_whose_first_member_is_the_time_of_saving(writer: RecordWriter) -> None:
    before = dt.datetime.now(dt.UTC)
    writer.save(x=1)
    after = dt.datetime.now(dt.UTC)
    (line,) = writer.path.read_text().splitlines()
    row = json.loads(line)
    assert list(row) == ["timestamp", "x"]
    assert len(row["timestamp"]) == len("2026-11-20T20:15:12.123456+00:00")
    assert before <= dt.datetime.fromisoformat(row["timestamp"]) <= after


def test_the_column_of_the_time_cannot_be_given(writer: RecordWriter) -> None:
    saves: list[Callable[[], None]] = [
        lambda: writer.row().update(timestamp=1),
        lambda: writer.save(timestamp=1),
        lambda: writer.save({"timestamp": 1}),
    ]
    for save in saves:
        with pytest.raises(InvalidInputError, match="choose another name, such as 'time'"):
            save()
    assert not writer.path.exists()


def test_a_column_that_is_not_named_by_text_is_refused(writer: RecordWriter) -> None:
    with pytest.raises(InvalidInputError, match="named by text, not by int: 3"):
        writer.row()[3] = 1  # type: ignore[index]  # on purpose


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m"])
def test_a_column_whose_name_cannot_be_read_is_refused(writer: RecordWriter, name: str) -> None:
    with pytest.raises(InvalidInputError, match="the column"):
        writer.save({name: 1})


def test_a_whole_number_that_no_reader_takes_is_refused_with_its_place(
    writer: RecordWriter,
) -> None:
    with pytest.raises(InvalidInputError, match=r"record 'train'\['n'\].*4300 digits"):
        writer.save(n=10**4300)
    assert not writer.path.exists()


def test_a_value_without_a_plain_form_is_refused_by_name_and_the_row_can_be_mended(
    writer: RecordWriter,
) -> None:
    record = writer.row()
    record["good"], record["bad"] = 1, object()
    with pytest.raises(InvalidInputError, match=r"record 'train'\['bad'\] is a builtins.object"):
        record.save()
    record["bad"] = 2
    record.save()
    assert values(Records(writer.path)) == [{"good": 1, "bad": 2}]


def test_values_come_back_as_they_were(writer: RecordWriter) -> None:
    row = {
        "nan": math.nan,
        "inf": -math.inf,
        "z": 1 + 2j,
        "$complex": [1, 2],
        "text": "a\nb\u2028\x85\0 \udc80 ü",
        "large": 10**30,
        "none": None,
        "nested": {"a": [1, {"$literal": 2}], "$numberDouble": "NaN"},
        "numpy": np.float32(0.5),
        "array": np.arange(3),
    }
    writer.save(row)
    writer.save({"$complex": [1.0, 2.0]})
    found, tag = values(Records(writer.path))
    assert math.isnan(found.pop("nan"))
    del row["nan"]
    assert found == {**row, "array": [0, 1, 2]}
    assert tag == {"$complex": [1.0, 2.0]}


_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
    max_leaves=8,
)
_rows = st.lists(
    st.dictionaries(
        st.text(min_size=1)
        .filter(lambda name: name != "timestamp")
        .filter(lambda name: not any(ord(c) < 32 or ord(c) == 127 for c in name))
        | st.sampled_from(["$complex", "$literal"]),
        _plain | st.complex_numbers(allow_nan=False),
        min_size=1,
        max_size=4,
    ),
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_rows)
def test_any_plain_rows_come_back_in_order(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "any.jsonl"
    path.unlink(missing_ok=True)
    writer = RecordWriter(path, Durability())
    for row in rows:
        writer.save(row)
    writer.close()
    records = Records(path, missing_ok=True)
    assert values(records) == rows
    assert set(records.columns) - {"timestamp"} == {name for row in rows for name in row}
    assert records.problems == []


def test_a_closed_writer_holds_no_file_and_still_saves(writer: RecordWriter) -> None:
    writer.save(x=1)
    assert len(open_files(writer.path)) == 1
    writer.close()
    writer.save(x=2)
    assert open_files(writer.path) == []
    assert values(Records(writer.path)) == [{"x": 1}, {"x": 2}]


def test_a_writer_that_is_dropped_holds_no_file() -> None:
    path = Path("a.jsonl").absolute()
    RecordWriter(path, Durability()).save(x=1)
    assert open_files(path) == []


def test_rows_go_on_in_a_file_that_is_there(writer: RecordWriter) -> None:
    writer.save(x=1)
    RecordWriter(writer.path, Durability()).save(y=2)
    assert values(Records(writer.path)) == [{"x": 1}, {"y": 2}]


def test_threads_that_save_at_once_lose_and_tear_nothing(writer: RecordWriter) -> None:
    begin = threading.Barrier(8)

    def work(number: int) -> None:
        record = writer.row()
        begin.wait()
        for step in range(200):
            record["thread"], record["step"] = number, step
            record["filling"] = "x" * (step * 37 % 9000)
            record.save()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = Records(writer.path)
    assert records.problems == []
    for number in range(8):
        assert [row["step"] for row in records.select(thread=number)] == list(range(200))
    times = [row["timestamp"] for row in records]
    assert times == sorted(times)


def test_a_forked_child_is_refused_and_tears_nothing(writer: RecordWriter) -> None:
    writer.save(x=1)
    program = """
        import os, sys
        from pathlib import Path
        from holdfast._sync import Durability
        from holdfast.errors import StateError
        from holdfast.records import RecordWriter
        writer = RecordWriter(Path(sys.argv[1]), Durability())
        record = writer.row()
        record["x"] = 2
        writer.save(x=1.5)
        if os.fork() == 0:
            try:
                record.save()
            except StateError as error:
                writer.close()
                os._exit(7 if "forked child" in str(error) else 8)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.wait()[1])
        record.save()
        print(code)
    """
    assert output(program, writer.path) == "7"
    assert [row["x"] for row in Records(writer.path)] == [1, 1.5, 2]


def close_and_exit(writer: RecordWriter) -> None:
    writer.close()
    os._exit(7)


def test_a_forked_child_of_a_thread_that_saves_can_close(writer: RecordWriter) -> None:
    with writer._file.lock:
        pid = os.fork()
        if pid == 0:
            signal.alarm(120)  # which ends the child if it hangs
            threading.Thread(target=close_and_exit, args=(writer,)).start()
            signal.pause()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_with_sync_always_a_row_is_on_the_disk_when_the_call_returns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    synced: list[int] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        real(descriptor)
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", note)
    writer = RecordWriter(Path("new/a.jsonl").absolute(), Durability("always"))
    writer.save(x=1)
    assert synced[-1] == writer.path.stat().st_ino
    assert writer.path.parent.stat().st_ino in synced


# A full disk


def test_on_a_full_disk_a_row_is_refused_whole_and_the_next_goes_on(small_disk: Path) -> None:
    writer = RecordWriter(small_disk / "a.jsonl", Durability())
    writer.save(x=1)
    filling = small_disk / "filling"
    with filling.open("wb", 0) as file:
        for size in (4096, 1):
            while True:
                try:
                    file.write(bytes(size))
                except OSError:
                    break
    before = writer.path.read_bytes()
    record = writer.row()
    record["x"] = "y" * 6000
    for _ in range(3):
        with pytest.raises(OSError, match="No space") as caught:
            record.save()
        assert caught.value.errno == errno.ENOSPC
        assert writer.path.read_bytes() == before
    filling.unlink()
    record.save()
    assert values(Records(writer.path)) == [{"x": 1}, {"x": "y" * 6000}]


@pytest.mark.parametrize("ended", [True, False], ids=["whole file", "torn file"])
def test_a_row_of_which_only_part_fits_leaves_nothing_at_any_limit(*, ended: bool) -> None:
    program = """
        import errno, resource, sys
        from pathlib import Path
        from holdfast._sync import Durability
        from holdfast.records import RecordWriter
        free = resource.RLIM_INFINITY
        path = Path("a.jsonl").absolute()
        path.write_bytes(b'{"x": 1}' + sys.argv[1].encode().replace(b"n", b"\\n"))
        writer = RecordWriter(path, Durability())
        for room in range(60):
            size = path.stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, free))
            try:
                writer.save(x=2, text="long enough not to fit")
            except OSError as error:
                assert error.errno == errno.EFBIG
            else:
                raise AssertionError
            assert path.stat().st_size == size
        resource.setrlimit(resource.RLIMIT_FSIZE, (free, free))
        writer.save(x=2)
    """
    output(program, "n" if ended else "")
    assert [row["x"] for row in Records("a.jsonl")] == [1, 2]


def test_a_part_that_cannot_be_taken_back_is_ended_so_that_the_next_row_stands_alone(
    writer: RecordWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.save(x=1)
    real = os.write

    def fail(descriptor: int, content: bytes) -> int:
        if len(content) < 40:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, content[:40])

    def refuse(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(OSError, match="No space"):
            writer.save(x=2)
    writer.save(x=3)
    with pytest.warns(UserWarning, match="line 2"):
        assert [row["x"] for row in Records(writer.path)] == [1, 3]


# Names


@pytest.mark.parametrize("scope", ["train", "eval/short", "ü", "a b"])
def test_a_scope_names_a_file(scope: str) -> None:
    assert record_file(scope) == f"{scope}.jsonl"


@pytest.mark.parametrize(
    "scope", ["", "..", "/etc/x", "a/../../b", "a\0b", ".tmp-x", "x" * 250, "a\\b"]
)
def test_a_scope_that_leads_elsewhere_is_refused(scope: str) -> None:
    with pytest.raises(InvalidInputError, match="record scope"):
        record_file(scope)
