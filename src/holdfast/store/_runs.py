"""`Runs`, several runs together."""

from concurrent.futures import Executor
from typing import Any

from holdfast.store._run import IfClaimed, Run


class Runs(list[Run]):
    """Several runs, launched together by `launch`."""

    def launch(self, executor: Executor | None = None, *, if_claimed: IfClaimed = "wait") -> "Runs":
        """Launch all of them; see `holdfast.launch`."""
        from holdfast.store._launch import launch

        launch(self, executor, if_claimed=if_claimed)
        return self

    def results(self) -> list[Any]:
        """Return the results in order.

        Raises
        ------
        StateError
            If a run is not complete.
        """
        return [run.result for run in self]
