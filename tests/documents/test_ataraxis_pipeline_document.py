"""What the document of ataraxis-data-structures says of pipelines, configuration and processing."""

import inspect
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import JobState, ProcessingStatus, ProcessingTracker, YamlConfig

METHODS = (
    "complete_job", "fail_job", "find_jobs", "generate_job_id", "get_job_info", "get_job_status",
    "get_jobs_by_status", "get_summary", "initialize_jobs", "reset", "retry_failed_jobs",
    "start_job", "to_yaml", "from_yaml",
)  # fmt: skip


def test_the_tracker_has_every_method_and_property() -> None:
    for name in METHODS:
        assert callable(getattr(ProcessingTracker, name))
    tracker = ProcessingTracker(file_path=Path("t.yaml"))
    assert (tracker.complete, tracker.encountered_error, tracker.jobs) == (False, False, {})
    assert tracker.lock_path.endswith("t.yaml.lock")
    assert tracker.file_path == Path("t.yaml")
    assert isinstance(tracker, YamlConfig)
    assert issubclass(ProcessingStatus, IntEnum)
    assert {s.name: int(s) for s in ProcessingStatus} == {
        "SCHEDULED": 0, "RUNNING": 1, "SUCCEEDED": 2, "FAILED": 3,
    }  # fmt: skip
    assert JobState("x") == JobState("x", "", ProcessingStatus.SCHEDULED, None, None, None, None)


def test_a_pipeline_as_in_the_document() -> None:
    tracker = ProcessingTracker(Path("t.yaml"))
    ids = tracker.initialize_jobs(jobs=[("process_data", "batch_101"), ("process_data", "")])
    tracker.start_job(job_id=ids[0], executor_id="77")
    tracker.complete_job(job_id=ids[0])
    tracker.fail_job(job_id=ids[1], error_message="broken")
    assert tracker.get_summary()[ProcessingStatus.FAILED] == 1
    assert tracker.get_jobs_by_status(status="FAILED") == [ids[1]]
    assert tracker.retry_failed_jobs() == [ids[1]]
    with pytest.raises(ValueError, match="no job"):
        tracker.get_job_status("unknown")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("calculate_directory_checksum",
         {"directory": ..., "num_processes": None, "progress": False, "save_checksum": True,
          "excluded_files": None}),
        ("delete_directory", {"directory_path": ...}),
        ("interpolate_data", {"source_coordinates": ..., "source_values": ...,
                              "target_coordinates": ..., "is_discrete": ...}),
        ("transfer_directory", {"source": ..., "destination": ..., "num_threads": 1,
                                "verify_integrity": False, "remove_source": False,
                                "progress": False}),
    ],
)  # fmt: skip
def test_the_functions_take_what_is_documented(name: str, parameters: dict[str, Any]) -> None:
    found = inspect.signature(getattr(holdfast, name)).parameters
    for parameter, default in parameters.items():
        expected = inspect.Parameter.empty if default is ... else default
        assert found[parameter].default == expected
