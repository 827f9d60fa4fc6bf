"""What a task prints: shown as always, and kept in ``artifacts/output.txt`` of its run.

Each write goes to the file at once, so it is kept even if the process is killed. Output of the
thread that launched, of tasks it awaits, and, if one run only is being launched, of all other
threads is taken. What C code or child processes write past Python is not.
"""

import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO, cast

from holdfast._append import AppendedFile
from holdfast._atomic import make_folder
from holdfast._sync import Durability

OUTPUT = "output.txt"

_sink: "ContextVar[AppendedFile | None]" = ContextVar("holdfast_output", default=None)


class _Tee(io.TextIOBase):
    """Stands for ``sys.stdout`` or ``sys.stderr`` while runs are being launched."""

    def __init__(self, stream: TextIO, active: "list[AppendedFile]") -> None:
        self._stream, self._active = stream, active

    def write(self, text: str, /) -> int:
        sink = _sink.get()
        if sink is None and len(self._active) == 1:
            sink = self._active[0]
        if sink is not None and text:
            sink.append(text.encode("utf-8", "backslashreplace"))
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # of the stream behind
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]  # of the stream behind
        return self._stream.errors

    @property
    def buffer(self) -> Any:
        """The binary stream behind, for those who write bytes; these are not kept."""
        return self._stream.buffer


class _Capture:
    """Puts `_Tee` in the place of both streams while at least one run is being launched."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: list[AppendedFile] = []
        self._put_back: list[Callable[[], None]] = []

    def begin(self, file: AppendedFile) -> None:
        with self._lock:
            self._active.append(file)
            if len(self._active) == 1:
                self._put_back = []
                self._install("stdout")
                self._install("stderr")

    def end(self, file: AppendedFile) -> None:
        with self._lock:
            if file in self._active:
                self._active.remove(file)
            if not self._active:
                for put_back in self._put_back:
                    put_back()

    def _install(self, name: str) -> None:
        before = getattr(sys, name)
        if before is None:  # a program without a terminal, on Windows
            return
        tee = cast("TextIO", _Tee(before, self._active))

        def put_back() -> None:
            if getattr(sys, name) is tee:  # else the task has put its own there
                setattr(sys, name, before)

        self._put_back.append(put_back)  # first, since an interrupt may come between the two
        setattr(sys, name, tee)


_capture = _Capture()


@contextmanager
def captured(path: Path, durability: Durability) -> Iterator[None]:
    """Append what is printed in the block to a file, which is made by the first print."""
    make_folder(path.parent, durability)
    file = AppendedFile(path)
    before = _sink.get()
    with ExitStack() as stack:
        for _ in range(2):  # an interrupt may come within the first end
            stack.callback(file.close)
            stack.callback(_sink.set, before)
            stack.callback(_capture.end, file)
        _sink.set(file)
        _capture.begin(file)
        yield
    if path.exists():
        durability.changed(path)
