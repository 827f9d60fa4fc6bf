from typing import Any

import numpy as np
import pytest

from holdfast.errors import InvalidInputError
from holdfast.integrity import interpolate_data

SOURCE = np.array([1.0, 2.0, 2.0, 4.0])
VALUES = np.array([10, 20, 25, 40], np.int16)


def test_discrete_values_are_the_last_known() -> None:
    target = np.array([0.0, 1.0, 1.9, 2.0, 3.0, 4.0, 9.0, np.nan])
    found = interpolate_data(SOURCE, VALUES, target, is_discrete=True)
    assert found.dtype == np.int16
    assert found.tolist() == [10, 10, 10, 25, 25, 40, 40, 40]


def test_continuous_values_lie_on_the_line_and_stop_at_the_ends() -> None:
    target = np.array([0.0, 1.5, 3.0, 9.0, np.nan])
    found = interpolate_data(SOURCE, VALUES, target, is_discrete=False)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [10, 15, 32.5, 40, np.nan])
    np.testing.assert_array_equal(found, np.interp(target, SOURCE, VALUES))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_whole_times_beyond_2_53_are_exact(dtype: Any) -> None:
    start = 2**60 + 1
    source = np.array([start, start + 10, start + 20], dtype)
    values = np.array([0.0, 1.0, 3.0])
    target = np.array([start + 1, start + 9, start + 10, start + 11, start - 1])
    assert interpolate_data(source, values, target, is_discrete=True).tolist() == [0, 0, 1, 1, 0]
    found = interpolate_data(source, values, target, is_discrete=False)
    np.testing.assert_allclose(found, [0.1, 0.9, 1.0, 1.2, 0.0], rtol=1e-15)


def test_signed_and_unsigned_times_of_any_size_meet() -> None:
    source = np.array([-5, 0, 2**63 - 1], np.int64)
    target = np.array([0, 2**64 - 1, 3], np.uint64)
    values = np.array([1, 2, 3])
    assert interpolate_data(source, values, target, is_discrete=True).tolist() == [2, 3, 2]
    whole = np.array([-(2**63), 2**63 - 1], np.int64)
    middle = interpolate_data(whole, np.array([0.0, 2.0]), np.array([0]), is_discrete=False)
    assert middle.tolist() == [1.0]


def test_floats_and_whole_times_meet() -> None:
    source = np.array([2**60 + 1, 2**60 + 3])
    target = np.array([float(2**60), np.nan])
    values = np.array([5, 6])
    assert interpolate_data(source, values, target, is_discrete=True).tolist() == [5, 6]
    found = interpolate_data(source, values, target, is_discrete=False)
    np.testing.assert_array_equal(found, [5, np.nan])


@pytest.mark.parametrize(
    ("source", "values", "problem"),
    [([2, 1], [1, 2], "must increase"), ([], [], "empty"), ([1, 2], [1], "1 source_values"),
     ([1.0, np.nan], [1, 2], "increase"), ([[1]], [1], "2 dimensions"),
     (["a"], [1], "real numbers")],
)  # fmt: skip
def test_wrong_input_says_what_is_wrong(source: Any, values: Any, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        interpolate_data(np.array(source), np.array(values), np.array([1.0]), is_discrete=False)
