"""Parameters in one canonical form, and the identity that follows from it.

*Cast* turns what a user passes into what an annotation asks for (2 into 2.0 for a float),
*canonical* turns that into plain data, and *identity* is the hash of task name and plain parameters
by which a run is found again. ``docs/identity.md`` publishes the form with vectors, so that other
programs can compute it.
"""

from holdfast.canonical._cast import (
    MISSING,
    Field,
    cast,
    cast_config,
    check_names,
    config_fields,
    config_values,
    hints_of,
    is_config,
)
from holdfast.canonical._identity import HEX_DIGITS, MAX_DEPTH, canonical, canonical_text, identity

__all__ = [
    "HEX_DIGITS",
    "MAX_DEPTH",
    "MISSING",
    "Field",
    "canonical",
    "canonical_text",
    "cast",
    "cast_config",
    "check_names",
    "config_fields",
    "config_values",
    "hints_of",
    "identity",
    "is_config",
]
