"""`Counter`: how many frames a movie has by now, shown with rich on standard error."""

from typing import Any


class Counter:
    """Shows a line for a movie that is being written.

    Parameters
    ----------
    name : str
        The movie.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._progress: Any = None
        self._task: Any = None

    def show(self, frames: int, time: float) -> None:
        """Show that a movie has so many frames, the last of some time."""
        if self._progress is None:
            self._start()
        self._progress.update(self._task, completed=frames, time=f"{time:.6g}")

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import Progress, TextColumn, TimeElapsedColumn

        columns = "{task.description}: {task.completed} frames, t = {task.fields[time]}"
        self._progress = Progress(
            TextColumn(columns), TimeElapsedColumn(), console=Console(stderr=True), transient=True
        )
        self._task = self._progress.add_task(self._name, total=None, time="")
        self._progress.start()

    def stop(self) -> None:
        """Take the line away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
