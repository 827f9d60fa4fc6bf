"""Estimate the gravity of an exoplanet from the fall times of a ball.

A lander drops a ball from several heights and measures how long it falls. Its clock runs slow by
the factor ``time_dilation`` against the clock of whoever asks, and jitters. A ball that falls from
rest by ``h`` takes the time ``t`` with ``h = g t^2 / 2``, so the slope of h over ``t^2 / 2`` is the
gravity g, which a least-squares fit through the origin gives with its standard error.
"""

import numpy as np

from holdfast import Logbook, task

TRUE_GRAVITY = 24.79
"""What the planet has, in m/s^2 (as Jupiter): the fit has to find it again."""


@task
def estimate_gravity(
    log: Logbook,
    time_dilation: float = 1.0,
    drops: int = 40,
    highest: float = 10.0,
    jitter: float = 2e-3,
) -> float:
    """Drop the ball `drops` times from up to `highest` metres, and fit.

    Parameters
    ----------
    log : Logbook
        Keeps every drop as it is measured, and the fit.
    time_dilation : float
        Seconds of whoever asks for one second of the lander's clock.
    drops : int
        How often the ball is dropped.
    highest : float
        Height of the last drop in metres; the others are spaced evenly below it.
    jitter : float
        Standard deviation of the lander's clock, in its own seconds.

    Returns
    -------
    float
        The gravity in m/s^2, in the time of whoever asks.
    """
    heights = np.linspace(highest / drops, highest, drops)
    clock = np.random.normal(scale=jitter, size=drops)  # noqa: NPY002 - seeded for every run
    times = np.sqrt(2.0 * heights / TRUE_GRAVITY) + clock
    for height, seconds in zip(heights, times, strict=True):
        log.log(height=height, seconds=seconds)

    x = 0.5 * (time_dilation * times) ** 2
    gravity = float(x @ heights / (x @ x))
    residuals = heights - gravity * x
    error = float(np.sqrt(residuals @ residuals / (drops - 1) / (x @ x)))
    log.array("residuals", residuals)
    log.json("fit", {"gravity": gravity, "standard_error": error})
    print(f"g = {gravity:.3f} +- {error:.3f} m/s^2")
    return gravity
