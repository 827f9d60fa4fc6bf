"""Messages as an Arrow table."""

from typing import TYPE_CHECKING

import numpy as np

from holdfast.errors import FormatError, MissingDependencyError

if TYPE_CHECKING:
    import pyarrow as pa

    from holdfast.acquisition._message import MessageArrays

_LAST = 2**63 - 1


def arrow_table(arrays: "MessageArrays") -> "pa.Table":
    """Return messages as a table; payloads are not copied.

    Raises
    ------
    FormatError
        If a time is beyond what Arrow's timestamps hold.
    MissingDependencyError
        If pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingDependencyError("to_arrow() needs pyarrow; install holdfast[tables]") from None
    if len(arrays.timestamps) and arrays.timestamps.max() > _LAST:
        raise FormatError(
            f"time {arrays.timestamps.max()} is beyond what Arrow's timestamps hold, 2**63 - 1 µs; "
            "take the times from read_arrays(), or pass the onset_us that they count from"
        )
    stamps = pa.array(arrays.timestamps.view(np.int64), pa.timestamp("us", "UTC"))
    buffers = [
        None,
        pa.py_buffer(np.ascontiguousarray(arrays.offsets)),
        pa.py_buffer(arrays.payload),
    ]
    payload = pa.Array.from_buffers(pa.large_binary(), len(stamps), buffers)
    return pa.table({"timestamp": stamps, "payload": payload})
