import base64
import os
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers

from holdfast.errors import InvalidInputError
from holdfast.fields._harmless import harmless


def in_text(value: Any, protocol: int = 4) -> str:
    return base64.b64encode(pickle.dumps(value, protocol)).decode()


@given(
    numbers.arrays(
        st.sampled_from(["?", "<i2", ">u4", "<f4", ">f8", "<c16"]),
        numbers.array_shapes(min_dims=0, max_dims=3, min_side=0),
    ),
    st.sampled_from([3, 4, 5]),
    st.sampled_from("CF"),
)
def test_arrays_of_numbers_come_back_as_pickle_gives_them(
    array: Any, protocol: int, order: Any
) -> None:
    array = np.array(array, order=order)
    found = harmless(in_text(array, protocol), "it")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("kind", ["?", "i1", "<f8", ">f4", "c8"])
def test_dtypes_of_numbers_come_back(kind: str) -> None:
    assert harmless(in_text(np.dtype(kind)), "it") == np.dtype(kind)


class Calls:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "value",
    [
        Calls(os.system, ("true",)),
        Calls(eval, ("1",)),
        Calls(np.dtype, ("O",)),
        Calls(np.dtype, (np.float64,)),
        Calls(np.dtype, ([("a", "f8")],)),
        Calls(np.dtype, ("f8", False, True), (3, "<", None, None, None, 1000, -1, 0)),
        Calls(np.dtype, ("f8", False, True), (3, "<", None, ("a",), {"a": 1}, 8, 1, 63)),
        Calls(np.ndarray, ((2**40,),)),
        np.array([{}], dtype=object),
        np.array([(1, 2.0)], dtype="i4,f8"),
        np.datetime64("2020-01-01"),
    ],
)
def test_whatever_else_a_pickle_holds_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="trust=True"):
        harmless(in_text(value), "it")


@given(st.binary(max_size=60))
def test_nonsense_is_refused_and_does_no_harm(content: bytes) -> None:
    try:
        harmless(base64.b64encode(content).decode(), "it")
    except InvalidInputError as error:
        assert "it is a pickle" in str(error)  # noqa: PT017 - some nonsense is a plain value


@given(st.integers(0, 10**6), st.integers(0, 255))
def test_flipped_bits_are_refused_or_make_other_numbers(place: int, value: int) -> None:
    content = bytearray(pickle.dumps(np.arange(4.0), 4))
    content[place % len(content)] = value
    try:
        harmless(base64.b64encode(content).decode(), "it")
    except InvalidInputError as error:
        assert "trust=True" in str(error)  # noqa: PT017 - other numbers are an answer as well
