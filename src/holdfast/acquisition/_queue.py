"""`InputQueue`: the queue's way of putting messages, which are then where they stay."""

from typing import Any

from holdfast.acquisition._package import LogPackage
from holdfast.acquisition._producer import Producer
from holdfast.errors import InvalidInputError


class InputQueue:
    """Takes packages from any process or thread; nothing ever waits in it.

    Parameters
    ----------
    producer : Producer
        What puts them.
    """

    __slots__ = ("_producer",)

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    def put(
        self,
        package: LogPackage,
        block: bool = True,  # noqa: FBT001, FBT002 - as queue.Queue has it
        timeout: float | None = None,
    ) -> None:
        """Put a message, which is kept once the call has returned.

        Parameters
        ----------
        package : LogPackage
            The message.
        block, timeout
            As queues have them; without meaning, since there is always room.

        Raises
        ------
        InvalidInputError
            If it is no `LogPackage`.
        OSError, StateError
            As `DataLogger.put`.
        """
        del block, timeout
        if not isinstance(package, LogPackage):
            raise InvalidInputError(
                f"the queue takes LogPackage, not {type(package).__name__}: {str(package)[:60]!r}"
            )
        self._producer.put(
            package.source_id, package.acquisition_time, package.serialized_data.data
        )

    def put_nowait(self, package: LogPackage) -> None:
        """Put a message, as `put` does."""
        self.put(package)

    def qsize(self) -> int:
        """Return how many messages wait to be written: always 0."""
        return 0

    def empty(self) -> bool:
        """Tell whether no message waits to be written: always True."""
        return True

    def full(self) -> bool:
        """Tell whether a put would have to wait: always False."""
        return False

    def __reduce__(self) -> tuple[Any, ...]:
        return InputQueue, (self._producer,)
