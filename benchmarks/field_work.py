"""What ``bench_fields.py`` applies to fields; in a file of its own, as an analysis has it."""

from typing import Any

import numpy as np


def spectrum(field: Any) -> float:
    """Some work in the manner of an analysis, of which NumPy does a part."""
    values = getattr(field, "data", field)
    total = 0.0
    for _ in range(4):
        total += float(np.abs(np.fft.fft2(values)).sum())
        total += sum(number * number for number in range(40_000))
    return total


def mean(field: Any) -> float:
    """Hardly any work."""
    return float(np.asarray(getattr(field, "data", field)).mean())
