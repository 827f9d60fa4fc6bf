"""The store: results found again by the expression that made them.

A *task* is a function or class whose runs are found by their parameters. `get` returns a `Run`,
there or not yet; its ``launch`` makes it. A `Store` is a folder of runs, its *index* a disposable
SQLite catalogue of them. See ``design/011-identity.md`` and ``design/012-claims.md``.
"""

from holdfast.store._claims import Claim, Claims, Holder
from holdfast.store._contract import AbstractStore
from holdfast.store._explain import Explanation, Near, explain
from holdfast.store._folders import is_store, table_of_runs
from holdfast.store._garbage import Leftover, leftovers, remove
from holdfast.store._get import get
from holdfast.store._groups import Group
from holdfast.store._launch import launch
from holdfast.store._run import Run
from holdfast.store._runs import Runs
from holdfast.store._store import Store
from holdfast.store._task import Task, identity_in, task

__all__ = [
    "AbstractStore",
    "Claim",
    "Claims",
    "Explanation",
    "Group",
    "Holder",
    "Leftover",
    "Near",
    "Run",
    "Runs",
    "Store",
    "Task",
    "explain",
    "get",
    "identity_in",
    "is_store",
    "launch",
    "leftovers",
    "remove",
    "table_of_runs",
    "task",
]
