"""`Outcome`: what became of the runs of one sweep, as lists of run ids and in a few lines."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from holdfast._text import short
from holdfast.sweeps._runs import Ending

MOST_REASONS = 5
"""How many different reasons of failures are named."""


@dataclass(slots=True)
class Outcome:
    """What became of the runs of one sweep.

    Attributes
    ----------
    complete, failed, interrupted, skipped : list of str
        Run ids: done now, raised, whose process died, and done before or by somebody else.
    reasons : dict
        Why runs failed, by run id; those that were skipped are not in it.
    states : dict
        The states of skipped runs, by run id.
    """

    complete: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    interrupted: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, state: str, reason: str | None = None) -> None:
        """Count a run that this sweep has brought to a state."""
        ends = {"complete": self.complete, "failed": self.failed, "interrupted": self.interrupted}
        if state not in ends:
            self.skip(name, state)
            return
        ends[state].append(name)
        if state == "failed" and reason:
            self.reasons[name] = reason

    def skip(self, name: str, state: str) -> None:
        """Count a run that this sweep left as it is."""
        self.skipped.append(name)
        self.states[name] = state

    def skip_found(self, name: str, found: Ending | None) -> None:
        """Count a run that somebody else has, or has removed since."""
        self.skip(name, found.state if found else "removed")

    def __str__(self) -> str:
        # By run id: combinations that were listed twice are one run.
        others = Counter(state for state in self.states.values() if state != "complete")
        told = ", ".join(f"{count} {state}" for state, count in sorted(others.items()))
        first = (
            f"{len(self.complete)} complete, {len(self.failed)} failed, "
            f"{len(self.interrupted)} interrupted, {len(self.skipped)} skipped"
        )
        if told:
            first += f" ({told.replace(' ', ' of them ', 1)})"
        return "\n".join([first, *_counted(self.reasons.values())])


def _counted(reasons: Iterable[str]) -> list[str]:
    """Return a line for each distinct reason, the most frequent ones first."""
    counts = Counter(short(reason, most=100) for reason in reasons).most_common()
    lines = [f"  {count} failed: {reason}" for reason, count in counts[:MOST_REASONS]]
    if len(counts) > MOST_REASONS:
        rest = sum(count for _, count in counts[MOST_REASONS:])
        lines.append(f"  {rest} failed for {len(counts) - MOST_REASONS} other reasons")
    return lines
