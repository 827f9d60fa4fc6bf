"""The calls of the h5logger package, as its document shows them and beyond."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from holdfast import H5Logger, InvalidInputError, LockedError, h5logger
from holdfast.streams import StreamsReader

DOCUMENT = """
import numpy as np
from holdfast import h5logger

np.random.seed(0)
logger = h5logger("logging_data.h5", replace_if_exists=True)
for i in range(10):
    number = np.random.randint(2)
    logger.log("number", number)

with logger.open() as data:
    print(data["number"])
    print(data["number"][:])
"""


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run_script(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_documents_script_never_closes_and_leaves_its_data_and_no_journal() -> None:
    out = run_script(DOCUMENT)

    assert out.splitlines() == [
        '<HDF5 dataset "number": shape (10,), type "<i8">',
        "[0 1 1 0 1 1 1 1 1 1]",
    ]
    with h5py.File("logging_data.h5") as file:
        assert file["number"][:].tolist() == [0, 1, 1, 0, 1, 1, 1, 1, 1, 1]
    assert [path.name for path in Path().iterdir()] == ["logging_data.h5"]


def test_an_existing_file_is_appended_to_unless_it_is_to_be_replaced() -> None:
    for replace, expected in ((False, [1]), (False, [1, 1]), (True, [1])):
        with h5logger("a.h5", replace_if_exists=replace) as logger:
            logger.log("x", 1)
        with h5logger.open("a.h5") as data:
            assert data["x"][:].tolist() == expected


def test_the_extension_is_added_and_another_is_refused() -> None:
    with h5logger("plain") as logger:
        logger.log("x", 1.0)
        assert logger.filename == "plain.h5"
    assert h5logger.open("plain")["x"][0] == 1.0

    with pytest.raises(InvalidInputError, match=r"'\.txt'; use \.h5"):
        h5logger("data.txt")


def test_keys_lists_the_datasets_while_the_logger_holds_the_file() -> None:
    with h5logger("a") as logger:
        logger.log("b/c", [1, 2])
        logger.log("a", 1)

        assert logger.keys() == ["a", "b/c"]
        assert list(logger.open()) == ["a", "b/c"]


@pytest.mark.parametrize(
    ("value", "message"),
    [([1.0, 2.0], "shape"), ("text", "without loss"), (1 + 2j, "without loss")],
)
def test_a_row_that_does_not_fit_is_refused_and_the_others_stay(
    value: object, message: str
) -> None:
    with h5logger("a") as logger:
        logger.log("x", 1.5)

        with pytest.raises(InvalidInputError, match=message):
            logger.log("x", value)  # type: ignore[arg-type]
        logger.log("x", 2)

    assert h5logger.open("a")["x"][:].tolist() == [1.5, 2.0]


def plain_reader(path: str) -> h5py.File:
    return h5py.File(path, "r", libver="latest", swmr=True)


def wait_for(reader: h5py.File, name: str, length: int) -> None:
    """Refresh until a plain reader sees as many rows, as a script that watches a file would."""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        reader[name].refresh()
        if len(reader[name]) >= length:
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} has {len(reader[name])} rows after a minute")


def test_way_1_declared_datasets_are_followed_by_a_plain_reader_across_many_chunks() -> None:
    declared = {"name0": (1, "int"), "name1": (1, "float"), "frame": (3, "float")}
    with (
        h5logger("data.h5", concurrent_readers=True, datasets=declared) as logger,
        plain_reader("data.h5") as reader,
    ):
        assert sorted(reader) == ["frame", "name0", "name1"]
        for part in range(1, 4):
            for number in range(20_000):
                logger.log("name0", number)
                logger.log("name1", number / 2)
            logger.log("frame", np.full((40, 50), float(part)))
            wait_for(reader, "name0", 20_000 * part)
            wait_for(reader, "frame", part)

            assert reader["name0"][20_000 * part - 1] == 19_999
            assert reader["frame"][-1, 39, 49] == part


def test_way_2_readers_enabled_once_all_names_have_begun_and_names_may_come_later() -> None:
    with h5logger("data.h5") as logger:
        for number in range(50_000):
            logger.log("name1", float(number))
            logger.log("name2", 10.0 * number)
            logger.enable_concurrent_readers()
            if number == 0:
                reader = plain_reader("data.h5")
        wait_for(reader, "name2", 50_000)
        assert reader["name2"][-1] == 499_990
        logger.log("later", 1)
        assert logger.open()["later"][0] == 1
        reader.close()


def test_way_3_readers_are_enabled_when_so_many_datasets_have_begun() -> None:
    with h5logger("data.h5", n_datasets=2) as logger:
        logger.log("one", 1.0)
        before = logger.concurrent_readers
        logger.log("two", 2.0)
        assert (before, logger.concurrent_readers) == (False, True)
        with plain_reader("data.h5") as reader:
            for number in range(30_000):
                logger.log("one", number)
            wait_for(reader, "one", 30_001)


def test_a_declared_dataset_takes_only_rows_of_its_dimensions() -> None:
    with h5logger("a", datasets={"m": (2, "float")}) as logger:
        with pytest.raises(ValueError, match="ndim=2"):
            logger.log("m", 1.0)
        logger.log("m", [1.0, 2.0])

    assert h5logger.open("a")["m"].shape == (1, 2)


def test_a_second_writer_in_another_process_is_refused_and_told_who_writes() -> None:
    with h5logger("a") as logger:
        logger.log("x", 1)
        done = subprocess.run(
            [sys.executable, "-c", "from holdfast import h5logger; h5logger('a')"],
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )

    assert done.returncode != 0
    assert "LockedError" in done.stderr
    assert "is being written by process" in done.stderr


def test_a_notebook_cell_run_again_may_replace_the_file_it_still_holds() -> None:
    first = h5logger("a")
    first.log("x", 1)

    with h5logger("a", replace_if_exists=True) as second:
        second.log("x", 2)

    assert h5logger.open("a")["x"][:].tolist() == [2]
    with pytest.raises(RuntimeError, match="closed"):
        first.log("x", 3)


def test_a_second_logger_of_one_file_in_one_process_is_refused() -> None:
    with h5logger("a") as logger:
        logger.log("x", 1)

        with pytest.raises(LockedError, match="process"):
            h5logger("a")


def test_attributes_and_units_are_stored_with_their_dataset() -> None:
    with H5Logger("a") as logger:
        logger.set_attributes("height", units="m", site=[48.1, 11.5])
        logger.log("height", 1.0)
        logger.set_attributes(title="a test")
        assert logger.open()["height"].attrs["units"] == "m"

    with h5py.File("a.h5") as file:
        assert file["height"].attrs["units"] == "m"
        assert file["height"].attrs["site"].tolist() == [48.1, 11.5]
        assert file.attrs["title"] == "a test"


def test_a_file_that_is_not_hdf5_is_refused_and_left_alone() -> None:
    Path("a.h5").write_text("not HDF5")

    with pytest.raises(ValueError, match="not an HDF5 file"):
        h5logger("a")

    assert Path("a.h5").read_text() == "not HDF5"
    assert not Path("a.h5-journal").exists()
    with pytest.raises(ValueError, match="not an HDF5 file"):
        StreamsReader("a.h5")


def test_opening_a_missing_file_says_so() -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file nothing\.h5"):
        h5logger.open("nothing")
