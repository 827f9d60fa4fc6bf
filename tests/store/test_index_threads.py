"""Threads, forks and the end of a program, with an index open."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from helpers import output
from holdfast import HoldfastWarning
from holdfast.errors import InvalidInputError
from holdfast.store._index import Index
from store_runs import answers, finish, truth


def test_threads_share_an_index(store: Path, index: Index) -> None:
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(5):
                index.note(finish(store, dt=number, step=step))
                assert len(index.find(dt=number)) == step + 1
        except BaseException as error:  # noqa: BLE001 - told by the test
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    assert answers(index) == truth(store)


def test_a_forked_child_opens_the_index_for_itself(store: Path) -> None:
    printed = output(
        """
        import os, sys
        from pathlib import Path
        from holdfast.store._index import Index
        from store_runs import finish
        store = Path(sys.argv[1])
        finish(store, dt=0.1)
        index = Index(store)
        print(len(index.find()), flush=True)
        child = os.fork()
        if not child:
            finish(store, dt=0.2)
            ok = len(index.find()) == 2
            index.close()
            os._exit(0 if ok else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(index.find(dt=0.2)))
        """,
        store,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )

    assert printed.split() == ["1", "0", "1"]


LEFT_OPEN = """
import builtins, sys
from holdfast.store import Store
builtins.kept = index = Store(sys.argv[1]).index
assert len(index.find()) == 1
"""


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "del index, builtins.kept"])
def test_a_program_ends_quietly_with_an_index_open(store: Path, end: str) -> None:
    finish(store, dt=0.1)
    program = [sys.executable, "-X", "dev", "-c", LEFT_OPEN + end, str(store)]

    done = subprocess.run(program, check=True, capture_output=True, text=True)

    assert done.stderr == ""
    assert Path(f"{store}/index.sqlite-wal").stat().st_size == 0  # closed, not left to die


def test_a_closed_index_opens_again(store: Path, index: Index) -> None:
    path = finish(store, dt=0.1)
    assert index.find() == [path]
    index.close()
    index.close()

    assert index.find() == [path]
    assert repr(index) == f"Index({str(store)!r})"


def test_a_question_that_is_no_expression_is_refused(index: Index, store: Path) -> None:
    finish(store, dt=0.1)

    with pytest.raises(InvalidInputError, match="compare with '=='"):
        index.find("dt = 0.1")


def test_metrics_that_a_symlink_leads_out_of_the_run_are_not_read(
    store: Path, index: Index
) -> None:
    path = finish(store, dt=0.1)
    (store.parent / "metrics.json").write_text('{"secret": 1}')
    (path / "artifacts").mkdir(exist_ok=True)
    (path / "artifacts/metrics.json").symlink_to(store.parent / "metrics.json")

    with pytest.warns(HoldfastWarning, match="leads out"):
        assert "secret" not in index.table().columns
