"""The command, run within the process of a test."""

import io
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

import pytest

from holdfast.cli import main


@dataclass(frozen=True, slots=True)
class Done:
    """What a command gave; in this process, because starting others takes most of the time."""

    returncode: int
    stdout: str
    stderr: str


def holdfast(*arguments: object) -> Done:
    out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    with (
        mock.patch.object(sys, "argv", ["holdfast", *map(str, arguments)]),
        warnings.catch_warnings(),  # the command shows them in its own way
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    texts = (stream.buffer.getvalue().decode() for stream in (out, err))
    return Done(int(ended.value.code or 0), *texts)
