"""The function that puts a message: what is fast about it, in one piece."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    import threading

    from holdfast.acquisition._producer import Producer

Put = Callable[[Any, Any, Any], None]


def putting(producer: "Producer", local: "threading.local") -> Put:
    """Return the `put` of a producer whose threads have their lanes in `local`."""
    enter, inner, slowly = producer.lane, producer.inner, producer.put_slowly

    def put(source: Any, time: Any, payload: Any) -> None:
        # Written out rather than called step by step: this is all that a put costs.
        try:
            lane = local.lane
        except AttributeError:
            lane = enter()
        if lane.busy:
            lane = inner(lane)
        lane.busy = True
        try:
            start = lane.end
            end = start + len(payload)
            if end > lane.limit:
                slowly(lane, source, time, payload)
                return
            number = lane.count
            lane.times[number] = time
            lane.payload[start:end] = payload
            lane.words[number] = lane.tags[source] | end  # publishes
            lane.end = end
            lane.count = number + 1
        except (IndexError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, InvalidInputError):
                raise
            slowly(lane, source, time, payload)
        except BaseException:
            lane.mend()
            raise
        lane.busy = False

    return put
