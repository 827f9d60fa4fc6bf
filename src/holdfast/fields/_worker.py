"""The process of a worker: it takes tasks and batches of fields from its parent, and gives results.

It is started by `_pool.py`, and talks with it over one connection. Three threads do so: one reads
what comes and ends the process with its parent, one sends, and the main one works, so that neither
side waits for the other to take what it has.
"""

import os
import pickle
import sys
import threading
import traceback
from multiprocessing import spawn
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

LOOK_SECONDS = 1.0
"""How often a worker looks whether its parent is still there."""

IDLE_SECONDS = 120.0
"""After how long without work it ends."""

READY, DONE, FAILED, REFUSED = "ready", "done", "failed", "refused"

state = {"is_worker": False, "loading": False}
"""Whether this process is a worker, and whether it is importing what its task needs."""


def main(descriptor: int, parent: int) -> None:
    """Work until the parent closes the connection or is gone."""
    state["is_worker"] = True
    connection = Connection(descriptor)
    todo: SimpleQueue[Any] = SimpleQueue()
    answers: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, parent, todo), daemon=True).start()
    threading.Thread(target=_send, args=(connection, answers), daemon=True).start()
    task: Any = None
    while True:
        prepared, batch = todo.get()
        if prepared is not None:
            task, answer = _load(prepared)
        else:
            answer = _work(task, batch)
        state["idle"] = todo.empty()
        answers.put(answer)


def _receive(connection: Connection, parent: int, todo: "SimpleQueue[Any]") -> None:
    """Take what comes; end the process when there is no parent, or nothing to do for long.

    At once, in the middle of the work: nobody wants its result any more.
    """
    waited = 0.0
    try:
        while os.getppid() == parent and waited < IDLE_SECONDS:
            if connection.poll(LOOK_SECONDS):
                content = connection.recv_bytes()
                state["idle"], waited = False, 0.0
                todo.put(pickle.loads(content))  # noqa: S301 - the parent's
            elif state.get("idle"):
                waited += LOOK_SECONDS
    except (EOFError, OSError):
        pass
    finally:
        os._exit(0)


def _send(connection: Connection, answers: "SimpleQueue[bytes]") -> None:
    try:
        while True:
            connection.send_bytes(answers.get())
    except OSError:
        os._exit(0)


def _load(prepared: tuple[dict[str, Any], bytes]) -> tuple[Any, bytes]:
    preparation, content = prepared
    state["loading"] = True
    try:
        spawn.prepare(preparation)
        task = pickle.loads(content)  # noqa: S301 - the parent's
    except BaseException as error:  # noqa: BLE001 - whatever a program's import may raise is told
        return None, pickle.dumps((REFUSED, f"{type(error).__name__}: {error}"))
    finally:
        state["loading"] = False
        sys.stdout.flush()
    return task, pickle.dumps((READY, None))


def _work(task: Any, batch: Any) -> bytes:
    results: list[Any] = []
    try:
        results.extend(task.batch(batch))
        return pickle.dumps((DONE, results), protocol=5)
    except Exception as error:  # noqa: BLE001 - the user's function may raise anything
        return _failure(error)
    finally:
        sys.stdout.flush()


def _failure(error: Exception) -> bytes:
    """Return an error as it travels; one that cannot travel is told in words."""
    where = "".join(traceback.format_exception(error)).rstrip()
    error.add_note(f"in a worker process:\n{where}")
    try:
        content = pickle.dumps((FAILED, error))
        pickle.loads(content)  # noqa: S301 - made in the line above
    except Exception:  # noqa: BLE001 - the user's exception may do anything when it travels
        return pickle.dumps((FAILED, where))
    return content
