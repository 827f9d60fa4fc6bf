"""Who processes what: the jobs of a pipeline and how far each is, in a file for all processes.

A *job* is a step with a name and perhaps a specifier; its id is their hash. A *transition* changes
the status of one. It is appended to a *journal* beside the tracker file, which is brought up to
date (*folded*) now and then: a transition costs the same however many jobs there are.
"""

from holdfast.jobs._state import JobState, ProcessingStatus, TrackerSummary
from holdfast.jobs._tracker import ProcessingTracker

__all__ = ["JobState", "ProcessingStatus", "ProcessingTracker", "TrackerSummary"]
