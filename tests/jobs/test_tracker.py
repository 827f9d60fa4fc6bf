import multiprocessing
import os
import threading
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

import holdfast.jobs._file as tracker_file
from helpers import contents, output, python
from holdfast.errors import (
    FormatError,
    InvalidInputError,
    LockedError,
    MissingFileError,
    StateError,
)
from holdfast.jobs import JobState, ProcessingStatus, ProcessingTracker

FILE = Path("tracker.yaml")

JOBS = [("process_data", ""), ("process_data", "batch_101"), ("plot", "a")]


@pytest.fixture
def tracker() -> ProcessingTracker:
    made = ProcessingTracker(FILE)
    made.initialize_jobs(JOBS)
    return made


def test_job_ids_are_those_of_the_reference() -> None:
    assert ProcessingTracker.generate_job_id("process_data") == "3f8f3f89b15a4a7c"
    assert ProcessingTracker.generate_job_id("process_data", "batch_101") == "e30d3e55fffe8b95"


def test_a_job_goes_from_scheduled_to_succeeded(tracker: ProcessingTracker) -> None:
    job = ProcessingTracker.generate_job_id("plot", "a")
    assert tracker.get_job_status(job) is ProcessingStatus.SCHEDULED
    tracker.start_job(job, "worker 7")
    running = tracker.get_job_info(job)
    assert (running.status, running.executor_id) == (ProcessingStatus.RUNNING, "worker 7")
    tracker.complete_job(job)
    done = tracker.get_job_info(job)
    assert done.status is ProcessingStatus.SUCCEEDED
    assert done.started_at is not None
    assert done.completed_at is not None
    assert done.completed_at >= done.started_at
    assert not tracker.complete
    for other in tracker.get_jobs_by_status("scheduled"):
        tracker.complete_job(other)
    assert tracker.complete


def test_failed_jobs_can_be_retried(tracker: ProcessingTracker) -> None:
    job = ProcessingTracker.generate_job_id("plot", "a")
    tracker.start_job(job)
    tracker.fail_job(job, "no ink")
    assert tracker.encountered_error
    assert tracker.get_summary()[ProcessingStatus.FAILED] == 1
    assert tracker.retry_failed_jobs() == [job]
    assert tracker.get_job_info(job) == JobState("plot", "a")
    assert not tracker.encountered_error


def test_a_second_attempt_shows_nothing_of_the_first(tracker: ProcessingTracker) -> None:
    job = ProcessingTracker.generate_job_id("plot", "a")
    tracker.fail_job(job, "no ink")
    tracker.start_job(job)
    assert tracker.get_job_info(job).error_message is None
    assert tracker.get_job_info(job).completed_at is None


def test_jobs_that_are_there_keep_their_state(tracker: ProcessingTracker) -> None:
    ids = tracker.initialize_jobs(JOBS)
    tracker.complete_job(ids[0])
    assert tracker.initialize_jobs([*JOBS, ("new", "")])[:3] == ids
    assert tracker.get_job_status(ids[0]) is ProcessingStatus.SUCCEEDED
    assert len(tracker.jobs) == 4


def test_jobs_are_found_by_parts_of_their_names(tracker: ProcessingTracker) -> None:
    assert list(tracker.find_jobs("process", "101").values()) == [("process_data", "batch_101")]
    assert len(tracker.find_jobs(job_name="data")) == 2
    with pytest.raises(ValueError, match="job_name"):
        tracker.find_jobs()


def test_an_unknown_job_is_a_value_error_with_the_nearest(tracker: ProcessingTracker) -> None:
    for call in (tracker.start_job, tracker.complete_job, tracker.fail_job, tracker.get_job_info):
        with pytest.raises(ValueError, match="did you mean 'e30d3e55fffe8b95'"):
            call("e30d3e55fffe8b96")


def test_a_name_with_a_colon_is_refused(tracker: ProcessingTracker) -> None:
    with pytest.raises(InvalidInputError, match="colon"):
        tracker.initialize_jobs([("a:b", "")])


def test_queries_make_and_write_no_file(tracker: ProcessingTracker) -> None:
    before = contents(Path.cwd())
    reader = ProcessingTracker.from_yaml(FILE)
    assert reader.summarize().scheduled == 3
    assert not reader.complete
    assert contents(Path.cwd()) == before
    absent = ProcessingTracker(Path("absent/t.yaml"))
    assert (absent.jobs, absent.complete, absent.get_jobs_by_status("failed")) == ({}, False, [])
    with pytest.raises(InvalidInputError):
        absent.start_job("x")
    assert not Path("absent").exists()


def test_run_job_marks_success_and_failure_with_its_traceback(tracker: ProcessingTracker) -> None:
    first, second, _ = tracker.initialize_jobs(JOBS)
    with tracker.run_job(first):
        assert tracker.get_job_info(first).executor_id == f"pid:{os.getpid()}"
    assert tracker.get_job_status(first) is ProcessingStatus.SUCCEEDED
    with pytest.raises(ZeroDivisionError), tracker.run_job(second):
        _ = 1 / 0
    assert "ZeroDivisionError" in str(tracker.get_job_info(second).error_message)


def test_slurm_names_the_executor(
    tracker: ProcessingTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    tracker.start_job("3f8f3f89b15a4a7c")
    assert tracker.get_job_info("3f8f3f89b15a4a7c").executor_id == "slurm:4711"


def test_slurm_is_asked_about_its_jobs(
    tracker: ProcessingTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue = Path("bin/squeue").absolute()
    squeue.parent.mkdir()
    squeue.write_text('#!/bin/sh\ncase "$*" in *=1*) echo RUNNING;; *) echo TIMEOUT;; esac\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}:{os.environ['PATH']}")
    first, second, _ = tracker.initialize_jobs(JOBS)
    tracker.start_job(first, "slurm:1")
    tracker.start_job(second, "slurm:2")
    assert tracker.stale_jobs() == [second]


def test_jobs_of_a_dead_process_are_stale_and_can_be_reset(tracker: ProcessingTracker) -> None:
    first, second, _ = tracker.initialize_jobs(JOBS)
    python(
        """
        import os, signal, sys
        from pathlib import Path
        from holdfast import ProcessingTracker
        ProcessingTracker(Path("tracker.yaml")).start_job(sys.argv[1])
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        first,
    )
    tracker.start_job(second)
    assert tracker.stale_jobs() == [first]
    assert str(tracker.summarize()) == "3 jobs: 2 running, 1 scheduled, 1 stale"
    assert tracker.reset_stale_jobs() == [first]
    assert tracker.get_job_info(first) == JobState("process_data")


def test_the_file_is_yaml_that_follows_at_the_exit_of_a_process(tracker: ProcessingTracker) -> None:
    job = tracker.initialize_jobs(JOBS)[1]
    message = 'Traceback:\n  File "x"\n\ttab\u2028 no: # \x07 \U0001f600 \\ "quoted"\n\n end'
    output(
        """
        import sys
        from pathlib import Path
        from holdfast import ProcessingTracker
        ProcessingTracker(Path("tracker.yaml")).fail_job(sys.argv[1], sys.argv[2])
        """,
        job,
        message,
    )
    written = yaml.safe_load(FILE.read_text())
    assert (written["file_path"], written["lock_path"]) == (".", "")
    assert written["jobs"][job]["error_message"] == message
    assert written["jobs"][job]["status"] == 3
    assert list(written["jobs"][job]) == list(JobState.__slots__)


def test_workers_of_multiprocessing_bring_the_file_up_to_date(tracker: ProcessingTracker) -> None:
    ids = tracker.initialize_jobs(JOBS)
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        pool.map(tracker.complete_job, ids)
        pool.close()
        pool.join()
    assert tracker.complete
    assert {job["status"] for job in yaml.safe_load(FILE.read_text())["jobs"].values()} == {2}


def test_messages_of_any_length_and_kind_are_kept(tracker: ProcessingTracker) -> None:
    job = tracker.initialize_jobs(JOBS)[0]
    message = "x\n  y: [\n" * 200_000
    tracker.fail_job(job, message)
    tracker.fold()
    assert tracker.get_job_info(job).error_message == message
    assert yaml.load(FILE.read_bytes(), yaml.CSafeLoader)["jobs"][job]["error_message"] == message
    tracker.fail_job(job, "\udc80")
    assert tracker.get_job_info(job).error_message == "\\udc80"


def test_another_tools_change_of_the_file_wins_and_later_transitions_stay(
    tracker: ProcessingTracker,
) -> None:
    first, second, third = tracker.initialize_jobs(JOBS)
    tracker.complete_job(first)  # not folded: the other tool does not see it
    data = yaml.safe_load(FILE.read_text())
    data["jobs"][second]["status"] = 2
    FILE.write_text(yaml.safe_dump(data))
    fresh = ProcessingTracker(FILE)
    assert set(fresh.get_jobs_by_status("SUCCEEDED")) == {first, second}
    fresh.start_job(third)
    assert fresh.get_summary()[ProcessingStatus.SUCCEEDED] == 2
    assert ProcessingTracker(FILE).get_job_status(third) is ProcessingStatus.RUNNING


def test_a_file_of_the_original_is_taken_over() -> None:
    FILE.write_text(
        "---\nfile_path: .\njobs:\n  3f8f3f89b15a4a7c:\n    job_name: process_data\n"
        "    specifier: ''\n    status: 1\n    executor_id: null\n    error_message: null\n"
        "    started_at: 5\n    completed_at: null\nlock_path: ''\n...\n"
    )
    tracker = ProcessingTracker.from_yaml(FILE)
    assert tracker.get_job_info("3f8f3f89b15a4a7c").started_at == 5
    tracker.complete_job("3f8f3f89b15a4a7c")
    assert ProcessingTracker(FILE).complete


@pytest.mark.parametrize("name", ["journal", "index"])
def test_a_tracker_goes_on_without_its_disposable_files(
    tracker: ProcessingTracker, name: str
) -> None:
    job = tracker.initialize_jobs(JOBS)[0]
    tracker.complete_job(job)
    tracker.fold()
    Path(f"tracker.yaml.{name}").unlink()
    assert ProcessingTracker(FILE).get_job_status(job) is ProcessingStatus.SUCCEEDED
    ProcessingTracker(FILE).start_job(job)
    assert tracker.get_job_status(job) is ProcessingStatus.RUNNING


def test_a_damaged_index_is_made_anew(tracker: ProcessingTracker) -> None:
    path = Path("tracker.yaml.index")
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    tracker.complete_job(tracker.initialize_jobs(JOBS)[0])
    assert tracker.get_summary()[ProcessingStatus.SUCCEEDED] == 1


def test_a_flipped_bit_in_the_journal_is_named(tracker: ProcessingTracker) -> None:
    job = tracker.initialize_jobs(JOBS)[0]
    tracker.start_job(job)
    path = Path("tracker.yaml.journal")
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"tracker\.yaml\.journal has 1 lines that are torn"):
        assert ProcessingTracker(FILE).get_job_status(job) is ProcessingStatus.SCHEDULED


def test_a_file_that_is_no_tracker_is_refused() -> None:
    FILE.write_text("- 1\n")
    with pytest.raises(FormatError, match="no tracker file"):
        ProcessingTracker.from_yaml(FILE)
    with pytest.raises(MissingFileError):
        ProcessingTracker.from_yaml(Path("other.yaml"))
    with pytest.raises(InvalidInputError):
        ProcessingTracker(Path("x.txt"))


def test_a_held_lock_is_a_timeout_error(
    tracker: ProcessingTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_file, "LOCK_SECONDS", 0.05)
    job = tracker.initialize_jobs(JOBS)[0]
    with FileLock("tracker.yaml.lock"):
        with pytest.raises(LockedError) as caught:
            tracker.start_job(job)
        assert isinstance(caught.value, TimeoutError)
        assert tracker.get_job_status(job) is ProcessingStatus.SCHEDULED  # a look needs no lock


def test_reset_leaves_no_job(tracker: ProcessingTracker) -> None:
    tracker.reset()
    assert tracker.jobs == {}
    assert yaml.safe_load(FILE.read_text())["jobs"] == {}
    with pytest.raises(InvalidInputError):
        tracker.start_job("3f8f3f89b15a4a7c")
    assert len(tracker.initialize_jobs(JOBS)) == 3


def test_removing_the_tracker_file_removes_the_pipeline(tracker: ProcessingTracker) -> None:
    FILE.unlink()
    assert tracker.jobs == {}
    tracker.initialize_jobs(JOBS[:1])
    assert list(tracker.jobs) == ["3f8f3f89b15a4a7c"]


def test_a_tracker_can_be_saved_elsewhere(tracker: ProcessingTracker) -> None:
    job = tracker.initialize_jobs(JOBS)[0]
    tracker.complete_job(job)
    tracker.to_yaml(Path("copy.yaml"))
    assert ProcessingTracker.from_yaml(Path("copy.yaml")).jobs == tracker.jobs
    given = ProcessingTracker(Path("given.yaml"), {"ab": JobState("x")})
    given.to_yaml(Path("given.yaml"))
    given.start_job("ab")
    assert given.to_dict()["jobs"]["ab"]["status"] == 1
    with pytest.raises(StateError):
        ProcessingTracker.from_dict({})


def test_threads_share_a_tracker(tracker: ProcessingTracker) -> None:
    ids = tracker.initialize_jobs([("t", str(n)) for n in range(80)])

    def work(part: list[str]) -> None:
        for job in part:
            tracker.complete_job(job)
            tracker.summarize()

    threads = [threading.Thread(target=work, args=(ids[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tracker.get_summary()[ProcessingStatus.SUCCEEDED] == 80


def test_a_long_journal_is_shortened_when_it_is_folded(
    tracker: ProcessingTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_file, "_MANY_LINES", 20)
    job = tracker.initialize_jobs(JOBS)[0]
    for _ in range(30):
        tracker.start_job(job)
    tracker.fold()
    assert Path("tracker.yaml.journal").read_bytes().count(b"\n") == 4
    tracker.complete_job(job)
    assert ProcessingTracker(FILE).get_job_status(job) is ProcessingStatus.SUCCEEDED


def fill(path: Path) -> None:
    with open(path, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def start_often(tracker: ProcessingTracker, job: str) -> None:
    for _ in range(100):
        tracker.start_job(job, "e" * 500)


def test_a_full_disk_refuses_a_transition_and_the_next_goes_on(small_disk: Path) -> None:
    tracker = ProcessingTracker(small_disk / "t.yaml")
    job = tracker.initialize_jobs(JOBS)[0]
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        fill(filler)
    with pytest.raises(OSError, match="No space"):
        start_often(tracker, job)
    assert tracker.get_job_status(job) is ProcessingStatus.RUNNING
    filler.unlink()
    tracker.complete_job(job)
    assert ProcessingTracker(small_disk / "t.yaml").get_job_status(job).name == "SUCCEEDED"
