"""Tracker files that somebody else wrote, edited or damaged."""

from pathlib import Path
from typing import Any

import pytest

from helpers import python
from holdfast.errors import FormatError, InvalidInputError
from holdfast.jobs import ProcessingTracker

FILE = Path("tracker.yaml")
JOB = ProcessingTracker.generate_job_id("plot")
WRITTEN = f"""jobs:
  {JOB}:
    job_name: plot
    specifier: ''
    status: 0
    executor_id: null
    error_message: null
    started_at: null
    completed_at: null
"""


@pytest.mark.parametrize("depth", [1_000, 60_000])
def test_a_file_nested_too_deep_is_refused_and_does_not_crash_python(depth: int) -> None:
    FILE.write_text(
        WRITTEN.replace("executor_id: null", f"executor_id: {'[' * depth}{']' * depth}")
    )
    ended = python(  # in a process of its own, which the loader of YAML could take down
        "from pathlib import Path\n"
        "from holdfast.errors import FormatError\n"
        "from holdfast.jobs import ProcessingTracker\n"
        "try:\n"
        "    ProcessingTracker(Path('tracker.yaml')).summarize()\n"
        "except FormatError as error:\n"
        "    print(error)\n"
    )
    assert ended.returncode == 0
    assert "tracker.yaml" in ended.stdout
    assert len(ended.stdout) < 1000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("executor_id", "[1]"),
        ("error_message", "{a: 1}"),
        ("started_at", "soon"),
        ("completed_at", "[]"),
        ("started_at", "1.5"),
        ("job_name", "[plot]"),
        ("specifier", "{}"),
        ("status", "true"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_job_and_field(field: str, value: str) -> None:
    lines = [f"    {field}: {value}" if f" {field}:" in x else x for x in WRITTEN.splitlines()]
    FILE.write_text("\n".join(lines))
    with pytest.raises(FormatError, match=f"job {JOB}.*{field}"):
        ProcessingTracker(FILE).summarize()


def test_plain_numbers_written_by_hand_are_taken_for_text() -> None:
    FILE.write_text(WRITTEN.replace("executor_id: null", "executor_id: 4711"))
    tracker = ProcessingTracker(FILE)
    tracker.fail_job(JOB, "no ink")
    assert ProcessingTracker(FILE).get_job_info(JOB).executor_id == "4711"


@pytest.mark.parametrize("text", ["dt: 0.1\nsteps: 100\n", "file_path: .\n"])
def test_another_yaml_file_is_not_taken_for_an_empty_tracker_and_overwritten(text: str) -> None:
    FILE.write_text(text)

    with pytest.raises(FormatError, match="no tracker file"):
        ProcessingTracker(FILE).initialize_jobs([("plot", "")])

    assert FILE.read_text() == text


@pytest.mark.parametrize("job", ["ab", "plot", ("plot", "a", "b"), (), 5, ("plot", None)], ids=str)
def test_a_job_that_is_no_pair_of_texts_is_refused(job: Any) -> None:
    with pytest.raises(InvalidInputError, match="a job is"):
        ProcessingTracker(FILE).initialize_jobs([job])
    assert not FILE.exists()
