"""machinable's half of ``bench_store.py``, run by the Python of an environment that has it.

``python benchmarks/peer_machinable.py COUNT`` prints the median seconds of each kind of work as
JSON. It works in the current folder, which should be empty.
"""

import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

MODULE = """
from machinable import Interface
from pydantic import BaseModel

class Simulate(Interface):
    class Config(BaseModel):
        dt: float = 0.1
        n: int = 0
        method: str = "euler"

    def __call__(self):
        self.save_file("result.json", self.config.dt * self.config.n)
"""


def main() -> None:
    count = int(sys.argv[1])
    Path("simulate.py").write_text(MODULE, encoding="utf-8")
    sys.path.insert(0, "")
    machinable = importlib.import_module("machinable")

    def create(n: int) -> None:
        machinable.get("simulate", {"n": n}).launch()

    def hit(n: int) -> None:
        if not machinable.get("simulate", {"n": n % count}).cached():
            raise SystemExit("machinable does not find what it made")

    def miss(n: int) -> None:
        if machinable.get("simulate", {"n": count + n}).cached():
            raise SystemExit("machinable finds what was never made")

    seconds = {"create": median(create, count)}
    seconds |= {"get, a hit": median(hit, 20), "get, a miss": median(miss, 20)}
    print(json.dumps({"version": machinable.get_version(), "seconds": seconds}))


def median(work: Callable[[int], None], turns: int) -> float:
    seconds = []
    for turn in range(turns):
        begin = time.perf_counter()
        work(turn)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
