"""Transfers killed by SIGKILL at random and resumed: whole and verified, or resumable."""

import os
import random
import subprocess
import sys
from pathlib import Path

from helpers import contents, temporaries
from holdfast import transfer_directory

PROGRAM = """
import sys
from pathlib import Path
import holdfast.integrity
print("ready", flush=True)
holdfast.integrity.transfer_directory(Path("here"), Path("there"), 2, remove_source=True)
"""


def test_a_killed_transfer_leaves_whole_files_and_the_source_until_all_is_verified(
    kills: int,
) -> None:
    chance = random.Random(3)  # noqa: S311 - a test to be repeated
    for number in range(kills // 50):
        for path in (Path("here"), Path("there")):
            subprocess.run(["rm", "-rf", path], check=True)
        expected = fill(Path("here"), chance)
        for _ in range(4):
            kill_one(chance.uniform(0, 0.06))
            check(expected)
            if not Path("here").exists() or len(contents(Path("here"))) < len(expected):
                break
        if len(contents(Path("here"))) == len(expected):
            transfer_directory(Path("here"), Path("there"), 2, remove_source=number % 2 == 0)
        assert contents(Path("there")) == expected
        assert not temporaries(Path("there"))


def fill(folder: Path, chance: random.Random) -> dict[str, bytes]:
    for number in range(60):
        path = folder / f"{number % 7}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(400_000)))
    return dict(contents(folder))


def kill_one(delay: float) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    try:
        process.wait(timeout=delay)
    except subprocess.TimeoutExpired:
        process.kill()
    process.wait()
    process.stdout.close()


def check(expected: dict[str, bytes]) -> None:
    """What is at the destination is whole; if the source lacks anything, all of it is there."""
    there = {
        name: content
        for name, content in (contents(Path("there")) if Path("there").exists() else {}).items()
        if not os.path.basename(name).startswith(".tmp-")
    }
    assert there.items() <= expected.items()
    here = contents(Path("here")) if Path("here").exists() else {}
    if here != expected:
        assert there == expected
