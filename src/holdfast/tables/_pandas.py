"""Values by column as a pandas data frame."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from holdfast.errors import MissingDependencyError


def data_frame(columns: Mapping[str, list[Any]]) -> Any:
    """Return values by column as a ``DataFrame``, times as time with time zone UTC.

    Whole numbers with gaps are of pandas' ``Int64``, so that large ones keep their digits.

    Raises
    ------
    MissingDependencyError
        If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingDependencyError(
            "a data frame needs pandas; install it with: pip install 'holdfast[tables]'"
        ) from None
    return pd.DataFrame({name: _series(pd, values) for name, values in columns.items()})


def _series(pd: Any, values: list[Any]) -> Any:
    kinds = {type(value) for value in values}
    if {dt.datetime} <= kinds <= {dt.datetime, type(None)}:
        # A time out of the range of pandas, in a damaged line, must not hide all other rows.
        return pd.to_datetime(pd.Series(values, dtype=object), utc=True, errors="coerce")
    whole = kinds == {int, type(None)}
    fits = whole and all(value is None or -(2**63) <= value < 2**63 for value in values)
    return pd.Series(values, dtype="Int64" if fits else None)
