"""`LogPackage`: one message as a value, for the queue of a `DataLogger`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.acquisition._input import MAX_PAYLOAD, checked_time, source_number
from holdfast.errors import InvalidInputError


@dataclass(frozen=True, slots=True, eq=False)
class LogPackage:
    """One message: who sent it, when, and its bytes.

    Parameters
    ----------
    source_id : int or numpy.uint8
        The source, 0 to 255.
    acquisition_time : int or numpy.uint64
        When it was acquired: usually microseconds since the onset of the recording.
    serialized_data : ndarray of uint8, or bytes
        The payload, of one dimension. An array is not copied; do not change it until it was put.

    Raises
    ------
    InvalidInputError
        If one of them is something else; the message says which and what was given.

    Examples
    --------
    >>> LogPackage(3, 1500, b"on").data
    ('003_00000000000000001500.npy', array([  3, 220,   5,   0,   0,   0,   0,   0,   0, 111, 110],
          dtype=uint8))
    """

    source_id: np.uint8
    acquisition_time: np.uint64
    serialized_data: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        number = source_number(self.source_id)
        if number is None or number > 255:
            raise InvalidInputError(
                f"source_id must be a whole number from 0 to 255, not {self.source_id!r}; use "
                "DataLogger.put for sources with names or larger numbers"
            )
        set_field = object.__setattr__
        set_field(self, "source_id", np.uint8(number))
        set_field(self, "acquisition_time", np.uint64(checked_time(self.acquisition_time)))
        set_field(self, "serialized_data", _checked(self.serialized_data))

    @property
    def data(self) -> tuple[str, npt.NDArray[np.uint8]]:
        """The file name and the bytes by which ataraxis stores a message.

        The bytes are the source (1), the time (8, in the order of this machine) and the payload.
        """
        name = f"{int(self.source_id):03d}_{int(self.acquisition_time):020d}.npy"
        head = np.frombuffer(self.source_id.tobytes() + self.acquisition_time.tobytes(), np.uint8)
        return name, np.concatenate([head, self.serialized_data])


def _checked(payload: Any) -> npt.NDArray[np.uint8]:
    if isinstance(payload, bytes | bytearray | memoryview):
        payload = np.frombuffer(payload, np.uint8)
    if not isinstance(payload, np.ndarray):
        found = f"{type(payload).__name__}: {str(payload)[:60]!r}"
    elif payload.dtype != np.uint8 or payload.ndim != 1:
        found = f"an array of {payload.dtype} and shape {payload.shape}"
    elif payload.size > MAX_PAYLOAD:
        found = f"{payload.size} bytes, where {MAX_PAYLOAD} are the most"
    else:
        return np.ascontiguousarray(payload)
    raise InvalidInputError(
        f"serialized_data must be a one-dimensional array of uint8, or bytes, not {found}; "
        "convert other arrays with .view(numpy.uint8)"
    )
