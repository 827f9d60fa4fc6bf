"""Records as a pandas data frame."""

from collections.abc import Mapping
from typing import Any

from holdfast.errors import MissingDependencyError
from holdfast.records._line import TIMESTAMP, instant


def data_frame(columns: Mapping[str, list[Any]]) -> Any:
    """Return values by column as a ``DataFrame``.

    Raises
    ------
    MissingDependencyError
        If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingDependencyError(
            "to_pandas() needs pandas; install it with: pip install 'holdfast[tables]'"
        ) from None
    return pd.DataFrame({name: _series(pd, name, values) for name, values in columns.items()})


def _series(pd: Any, name: str, values: list[Any]) -> Any:
    if name == TIMESTAMP:
        times = [None if value is None else instant(value) for value in values]
        # A time out of the range of pandas, in a damaged line, must not hide all other rows.
        return pd.to_datetime(pd.Series(times, dtype=object), utc=True, errors="coerce")
    whole = {type(value) for value in values} == {int, type(None)}
    fits = whole and all(value is None or -(2**63) <= value < 2**63 for value in values)
    return pd.Series(values, dtype="Int64" if fits else None)
