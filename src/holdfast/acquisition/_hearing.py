"""`Hearing`: how a producer learns, in another process, what became of its logger."""

import threading
import weakref
from typing import TYPE_CHECKING

from holdfast.acquisition._notice import Notice

if TYPE_CHECKING:
    from holdfast.acquisition._producer import Producer

LOOK_SECONDS = 1.0
"""How often a producer's notice is looked at."""


class Hearing:
    """Looks at a notice, on a thread of its own, as long as the producer lives.

    Parameters
    ----------
    producer : Producer
        What is told to stop, to go on, or to fail.
    notice : Notice
        What its owner says.
    """

    def __init__(self, producer: "Producer", notice: Notice) -> None:
        self._producer, self._notice = weakref.ref(producer), notice
        self._lock = threading.RLock()
        self._begun = self._finished = False
        self._problems = 0

    def attend(self) -> None:
        """Look at once, for the first put of a process and those that would be refused."""
        producer = self._producer()
        if producer is None or self._notice.owned or (self._begun and not producer.stopped):
            return
        if not self._lock.acquire(blocking=False):
            return  # the thread is at it, and may be waiting for the end of this very put
        try:
            first, self._begun = not self._begun, True
            self._hear(producer, tell_problems=not first)
        finally:
            self._lock.release()
        if first:
            self._start()

    def _start(self) -> None:
        thread = threading.Thread(
            target=_look_for_ever, args=(weakref.ref(self),), name="holdfast-hearing", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # none to be had (a limit, or at exit): the next slow put tries again
            self._begun = False

    def _hear(self, producer: "Producer", *, tell_problems: bool) -> None:
        told = self._notice.read()
        if told is None:
            return
        if told.stopped:
            producer.refuse()
        elif producer.stopped:
            producer.resume()
            self._finished = False
        if told.problems != self._problems:
            self._problems = told.problems
            if tell_problems and told.error is not None:
                producer.fail(told.error)

    def look(self) -> bool:
        """Look, and finish the blocks of a producer that was stopped; False once it is garbage."""
        producer = self._producer()
        if producer is None:
            return False
        with self._lock:
            self._hear(producer, tell_problems=True)
            if producer.stopped and not self._finished:
                # Under the lock: to go on in the middle would leave a lane in a folder let go of.
                producer.stop()
                self._finished = True
        return True


def _look_for_ever(hearing: "weakref.ref[Hearing]") -> None:
    pause = threading.Event()
    while not pause.wait(LOOK_SECONDS):
        listener = hearing()
        if listener is None or not listener.look():
            return
        del listener
