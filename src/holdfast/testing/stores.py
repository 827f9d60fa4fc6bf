"""What every store has to do, as tests: subclass `StoreTests` beside your implementation.

::

    class TestMyStore(StoreTests):
        def make_store(self, folder):
            return MyStore(folder / "runs")
"""

# ruff: noqa: S101 - these are tests: they assert

import json
import os
import pickle
import threading
import warnings
from abc import ABC, abstractmethod
from pathlib import Path

from holdfast import Logbook, LogReader, Run, get, task
from holdfast.errors import FormatError
from holdfast.store import AbstractStore


@task(name="holdfast.testing.twice")
def twice(log: Logbook, x: float = 1.0) -> float:
    """Return the double, and leave a line in the log."""
    log.info("computing")
    return 2 * x


@task(name="holdfast.testing.fails-first")
def fails_first(log: Logbook) -> int:
    """Raise at the first attempt."""
    if not (log.path / "attempts").exists():
        raise ValueError("as planned")
    return 1


class StoreTests(ABC):
    """The tests; pytest runs those of subclasses, each in a folder of its own."""

    @abstractmethod
    def make_store(self, folder: Path) -> AbstractStore:
        """Return a store whose data are in `folder`; the same folder gives the same store."""

    def test_what_is_launched_is_found(self, tmp_path: Path) -> None:
        """A run is there for every later get, also of a store that is made anew."""
        with self.make_store(tmp_path):
            assert get(twice, x=3).launch().result == 6
        with self.make_store(tmp_path) as store:
            run = get(twice, x=3)
            assert run.is_finished()
            assert run.result == 6
            assert LogReader(run.directory).meta["task"]["identity"] == run.id
            assert store.locate(run.name) == run.directory

    def test_looking_leaves_no_trace(self, tmp_path: Path) -> None:
        """A get that misses makes neither folder nor file."""
        with self.make_store(tmp_path) as store:
            before = sorted(tmp_path.rglob("*"))
            assert not get(twice, x=3).is_started()
            assert store.locate("holdfast.testing.twice-" + "0" * 32) is None
            assert list(store.runs()) == []
        assert sorted(tmp_path.rglob("*")) == before

    def test_every_run_is_listed_once(self, tmp_path: Path) -> None:
        """Runs of any state are listed, and nothing else is."""
        with self.make_store(tmp_path) as store:
            runs = {get(twice, x=x).launch().name for x in range(3)}
            failed = get(fails_first)
            _launch_failing(failed)
            assert sorted(path.name for path in store.runs()) == sorted({*runs, failed.name})

    def test_a_failed_run_is_made_anew_in_its_place(self, tmp_path: Path) -> None:
        """The place of a run is the same for all its attempts."""
        with self.make_store(tmp_path) as store:
            run = get(fails_first)
            _launch_failing(run)
            assert run.is_failed()
            assert run.launch().result == 1
            assert store.place(run.name) == run.directory
            assert len(run.reader.attempts) == 1

    def test_a_damaged_run_hides_no_other(self, tmp_path: Path) -> None:
        """Metadata that cannot be read are an error of that run alone."""
        with self.make_store(tmp_path):
            bad, good = (get(twice, x=x).launch() for x in (1, 2))
            (bad.directory / "metadata.json").write_text("{")
            message = ""
            try:
                get(twice, x=1)
            except FormatError as error:
                message = str(error)
            assert bad.name in message
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                assert [run.name for run in get.all(twice)] == [good.name]
            assert len(caught) == 1

    def test_of_threads_that_launch_one_run_one_makes_it(self, tmp_path: Path) -> None:
        """Claims hold between all users of a store."""
        stores = [self.make_store(tmp_path) for _ in range(4)]
        barrier = threading.Barrier(len(stores))

        def work(store: AbstractStore) -> None:
            with store:
                barrier.wait()
                get(twice, x=5).launch()

        threads = [threading.Thread(target=work, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with stores[0] as store:
            run = get(twice, x=5)
            lines = [line.message for line in run.reader.log_lines()]
            assert lines.count("computing") == 1
            assert store.claims.holder(run.id) is None
            assert store.claims.identities() == []

    def test_a_claim_is_seen_by_every_user_of_the_store(self, tmp_path: Path) -> None:
        """Whoever makes the store anew sees who has a run."""
        one, two = self.make_store(tmp_path), self.make_store(tmp_path)
        identity = "ab" * 16
        claim = one.claims.claim(identity)
        with one.claims.locked(identity):
            assert one.claims.take(claim) is None
        holder = two.claims.holder(identity)
        assert holder is not None
        assert holder.process is not None
        assert holder.process.pid == os.getpid()
        with one.claims.locked(identity):
            claim.release()
        assert two.claims.holder(identity) is None

    def test_a_store_is_sent_to_other_processes(self, tmp_path: Path) -> None:
        """By pickle, as executors do."""
        store = self.make_store(tmp_path)
        with store:
            run = get(twice, x=4).launch()
        sent: AbstractStore = pickle.loads(pickle.dumps(store))  # noqa: S301 - made just now
        assert sent.locate(run.name) == run.directory
        assert sent.default_group == store.default_group

    def test_runs_are_plain_directories(self, tmp_path: Path) -> None:
        """What is located is read without a store."""
        with self.make_store(tmp_path):
            run = get(twice, x=4).launch()
        assert json.loads((run.directory / "artifacts" / "result.json").read_bytes()) == 8
        assert LogReader(run.directory).state == "complete"


def _launch_failing(run: Run) -> None:
    try:
        run.launch()
    except ValueError:
        return
    raise AssertionError("the task should have failed")
