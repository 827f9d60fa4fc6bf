"""Whatever is done to a store and its index, in any order: answers are those of a plain model."""

import os
import shutil
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast import HoldfastWarning, Logbook, LogReader, _sync
from holdfast.store._index import Index
from store_runs import begin, kill

DTS = st.sampled_from([0.1, 0.2, 0.3, 0.4])


@dataclass
class Known:
    """What the model knows of a run."""

    dt: float
    state: str = "running"
    error: float | None = None
    log: Logbook | None = field(default=None, repr=False)


class StoreMachine(RuleBasedStateMachine):
    """A store, two indexes of it, and a dictionary of what is in it."""

    runs = Bundle("runs")

    @initialize()
    def make(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="stateful-"))
        self.store = self.base / "store"
        self.store.mkdir()
        self.model: dict[str, Known] = {}
        self.number = 0
        self.indexes = [Index(self.store), Index(self.store)]

    # Runs

    @rule(target=runs, dt=DTS, noted=st.booleans())
    def begin(self, dt: float, *, noted: bool) -> str:
        self.number += 1
        log = begin(self.store, "work", dt=dt, number=self.number)
        self.model[log.path.name] = Known(dt, log=log)
        if noted:
            self.indexes[0].note(log.path)
        return log.path.name

    @rule(name=runs, error=st.sampled_from([None, 0.5, 2.0]), noted=st.booleans())
    def finish(self, name: str, error: float | None, *, noted: bool) -> None:
        known = self.of(name, "running")
        if known is None or known.log is None:
            return
        if error is not None:
            known.log.json("metrics", {"error": error})
            known.error = error
        known.log.mark_complete()
        known.state = "complete"
        if noted:
            self.indexes[1].note(self.store / name)

    @rule(name=runs)
    def fail(self, name: str) -> None:
        known = self.of(name, "running")
        if known is not None and known.log is not None:
            known.log.mark_failed("it had to")
            known.state = "failed"

    @rule(name=runs)
    def interrupt(self, name: str) -> None:
        known = self.of(name, "running")
        if known is not None:
            kill(self.store / name)
            known.state, known.log = "interrupted", None

    @rule(name=runs)
    def retry(self, name: str) -> None:
        known = self.of(name, "failed")
        if known is not None:
            task = LogReader(self.store / name).meta["task"]
            run_id = name.removeprefix("log_")
            known.log = Logbook(run_id, self.store, params=task["params"], retry=True)
            known.log.meta(task=task)
            known.state, known.error = "running", None

    @rule(name=consumes(runs))
    def delete(self, name: str) -> None:
        if self.model.pop(name, None) is not None:
            shutil.rmtree(self.store / name)

    @rule(target=runs, name=consumes(runs))
    def move_out_and_in(self, name: str) -> Any:
        known = self.model.get(name)
        if known is None or known.state == "running":
            return name if known else multiple()
        (self.store / name).rename(self.base / name)
        self.check()
        (self.base / name).rename(self.store / name)
        return name

    @rule(name=runs)
    def damage(self, name: str) -> None:
        known = self.of(name, "failed") or self.of(name, "interrupted")
        if known is not None:
            (self.store / name / "metadata.json").write_text("{")
            known.state = "unreadable"

    # The index

    @rule(ending=st.sampled_from(["", "-wal", "-shm"]))
    def lose(self, ending: str) -> None:
        for index in self.indexes if ending else []:
            index.close()  # a log that vanishes beneath a process is beyond what SQLite bears
        self.file(ending).unlink(missing_ok=True)

    @rule(part=st.floats(0, 0.99))
    def cut(self, part: float) -> None:
        if self.file().exists():
            os.truncate(self.file(), int(self.file().stat().st_size * part))

    @rule()
    def rebuild(self) -> None:
        self.indexes[0].rebuild()

    @rule(which=st.integers(0, 1))
    def open_again(self, which: int) -> None:
        self.indexes[which].close()
        self.indexes[which] = Index(self.store)

    @precondition(lambda self: all(run.state != "running" for run in self.model.values()))
    @rule()
    def move_the_store(self) -> None:
        for index in self.indexes:
            index.close()
        self.store = self.store.rename(self.base / f"store-{os.urandom(4).hex()}")
        self.indexes = [Index(self.store), Index(self.store)]

    # Answers

    @invariant()
    def check(self) -> None:
        there = {n: k for n, k in self.model.items() if (self.store / n).is_dir()}
        for index in self.indexes:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", HoldfastWarning)
                self.compare(index, there)

    def compare(self, index: Index, there: dict[str, Known]) -> None:
        rows = {Path(row["directory"]).name: row for row in index.table()}
        assert {n: row["state"] for n, row in rows.items()} == {
            n: k.state for n, k in there.items()
        }
        good = {name: known for name, known in there.items() if known.state != "unreadable"}
        assert {n: rows[n].get("dt") for n in good} == {n: k.dt for n, k in good.items()}
        assert {n: rows[n].get("error") for n in good} == {n: k.error for n, k in good.items()}
        assert sorted(index.problems) == sorted(there.keys() - good.keys())
        if not good:
            return
        found = {path.name for path in index.find("dt < 0.25", status="finished")}
        assert found == {n for n, k in good.items() if k.dt < 0.25 and k.state == "complete"}

    def teardown(self) -> None:
        _sync.drain()
        for index in getattr(self, "indexes", []):
            index.close()
        shutil.rmtree(getattr(self, "base", "nowhere"), ignore_errors=True)

    # Helpers

    def of(self, name: str, state: str) -> Known | None:
        known = self.model.get(name)
        return known if known is not None and known.state == state else None

    def file(self, ending: str = "") -> Path:
        return self.store / f"index.sqlite{ending}"


def test_a_store_answers_as_a_plain_dictionary_would(request: pytest.FixtureRequest) -> None:
    large = request.config.getoption("--campaign")
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=500 if large else 12,
            stateful_step_count=50 if large else 25,
            deadline=None,
        ),
    )
