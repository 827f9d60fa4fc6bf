"""Tables: rows of named values with the union of their columns, and the forms others want.

`Table` holds rows; `PrintedTable` is what is shown of some. `data_frame` and `arrow_table` turn
values by column into what pandas and pyarrow hold.
"""

from holdfast.tables._arrow import arrow_table
from holdfast.tables._pandas import data_frame
from holdfast.tables._printed import PrintedTable
from holdfast.tables._select import selection
from holdfast.tables._table import Table

__all__ = ["PrintedTable", "Table", "arrow_table", "data_frame", "selection"]
