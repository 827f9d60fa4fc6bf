"""Holdfast's own logger, silent unless a program gives it a handler.

It stands in a module of its own because importing `logging` takes longer than all of
``import holdfast``.
"""

import logging

log = logging.getLogger("holdfast")
log.addHandler(logging.NullHandler())
