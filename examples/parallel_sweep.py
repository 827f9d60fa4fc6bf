"""A sweep in two worker processes, with a progress bar; run again, it goes on where it stopped.

The logistic map ``x -> r x (1 - x)`` is the plainest system with a way into chaos. Its Lyapunov
exponent is the mean of ``log |r (1 - 2x)|`` along an orbit: below zero the orbit settles on a
cycle, above zero two orbits that start close together part exponentially.
"""

import numpy as np

from holdfast import Experiment, Logbook

TRANSIENT = 1_000
STEPS = 20_000


def lyapunov(log: Logbook, r: float, x0: float) -> None:
    """Follow one orbit and save its Lyapunov exponent, in nats a step."""
    x = x0
    for _ in range(TRANSIENT):  # until the orbit has come to its attractor
        x = r * x * (1 - x)
    orbit = np.empty(STEPS)
    for n in range(STEPS):
        x = r * x * (1 - x)
        orbit[n] = x
    log.array("orbit", orbit[-200:])
    stretching = np.abs(r * (1 - 2 * orbit))
    log.json("metrics", {"exponent": np.log(np.maximum(stretching, 1e-300)).mean()})


def main() -> None:
    """Sweep r at two starting points; the exponent must not depend on where an orbit starts."""
    experiment = Experiment("logistic_map")
    grid = {"r": [2.9, 3.2, 3.5, 3.7, 3.9], "x0": [0.2, 0.3]}
    # What is complete or has failed is skipped; what a kill interrupted is made anew. So this
    # script can simply be started again, and starting it twice at once does every run once.
    outcome = experiment.run(lyapunov, grid, workers=2, progress=True)
    print(outcome)
    print(experiment.table().only(["r", "x0", "state", "exponent"]).sort("r"))
    chaotic = experiment.table("exponent > 0")
    print(f"{len(chaotic)} runs are chaotic, from r = {chaotic.sort('r')[0]['r']} on")


# Worker processes import this file, so the work has to stand below this line.
if __name__ == "__main__":
    main()
