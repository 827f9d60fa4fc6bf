"""The programs that ``holdfast demo`` runs: small pieces of physics, and one that is killed."""

import itertools
import sys
import threading
from pathlib import Path

import numpy as np

from holdfast import DataLogger, Experiment, Logbook, task


def oscillator(base: Path, steps: int = 2000) -> Experiment:
    """Integrate a harmonic oscillator by velocity Verlet, for several frequencies and time steps.

    The energy error of the scheme shrinks with the square of the time step.
    """
    experiment = Experiment("oscillator_sweep", base)
    for log in experiment.grid(omega=[1.0, 2.0], dt=[0.01, 0.05, 0.2]):
        with log:
            params = log.params()
            omega, dt = params["omega"], params["dt"]
            x, v = 1.0, 0.0
            trajectory = np.empty((steps, 2))
            for n in range(steps):
                v_half = v - 0.5 * dt * omega**2 * x
                x += dt * v_half
                v = v_half - 0.5 * dt * omega**2 * x
                trajectory[n] = x, v
            energy = 0.5 * (trajectory[:, 1] ** 2 + (omega * trajectory[:, 0]) ** 2)
            log.arrays("trajectory", x=trajectory[:, 0], v=trajectory[:, 1])
            log.array("energy", energy)
            error = float(np.max(np.abs(energy / (0.5 * omega**2) - 1)))
            log.json("metrics", {"energy_error": error})
    return experiment


def heat(base: Path, steps: int = 500, n: int = 64) -> Path:
    """Let a warm spot spread on a periodic square, by explicit Euler steps.

    A step of ``0.2 dx**2 / kappa`` is below the limit of stability, ``0.25 dx**2 / kappa``.
    """
    kappa, dx = 0.01, 2.0 / n
    dt = 0.2 * dx**2 / kappa
    axis = np.linspace(-1, 1, n, endpoint=False)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    temperature = np.exp(-6 * (x**2 + y**2))

    log = Logbook("heat_equation", base)
    log.params(n=n, kappa=kappa, dx=dx, dt=dt, steps=steps)
    spot = log.trajectory("T")
    for step in range(1, steps + 1):
        neighbours = sum(np.roll(temperature, s, axis=a) for a in (0, 1) for s in (1, -1))
        temperature = temperature + kappa * dt / dx**2 * (neighbours - 4 * temperature)
        log.append("hottest", temperature.max())
        if step % 10 == 0:
            spot.append(temperature, step * dt)
        if step % 100 == 0:
            log.info(f"step {step}: the hottest point has {temperature.max():.4f}")
    log.json("metrics", {"max": temperature.max(), "mean": temperature.mean()})
    log.mark_complete()
    return log.path


def falling_ball(base: Path) -> Experiment:
    """Drop a ball from 100 m for 100 steps; with the longer step it meets the ground, and fails."""
    experiment = Experiment("falling_ball", base)
    for dt in (0.01, 0.5):
        log = experiment.add(dt=dt)
        if log is None:
            continue
        try:
            with log:
                speed, height = 0.0, 100.0
                for _ in range(100):
                    speed += 9.81 * dt
                    height -= speed * dt
                    if height < 0:
                        raise RuntimeError(f"the ball hit the ground (height {height:.2f} m)")
                log.json("metrics", {"final_height": height, "final_speed": speed})
        except RuntimeError:
            pass  # the run says so itself, with the traceback
    return experiment


def random_walk(base: Path) -> None:
    """Walk for ever, keeping all positions at every step, until somebody kills the process.

    Prints the number of each frame once the calls that kept it have returned.
    """
    generator = np.random.default_rng(seed=1)
    walkers = np.zeros((20_000, 2))
    with Logbook("killed_walk", base, params={"walkers": len(walkers)}) as log:
        frames = log.trajectory("positions")
        for frame in itertools.count():
            walkers += generator.normal(size=walkers.shape)
            log.append("distance", np.hypot(*walkers.T).mean())
            frames.append(walkers, frame)
            sys.stdout.write(f"{frame}\n")
            sys.stdout.flush()


@task(name="demo_fall_time")
def fall_time(height: float, gravity: float = 9.81, steps: int = 100_000) -> float:
    """Return how long a fall takes, in seconds, by small steps down the height in metres."""
    middles = (np.arange(steps) + 0.5) * (height / steps)
    return float(np.sum(height / steps / np.sqrt(2 * gravity * middles)))


def messages(base: Path, count: int = 50_000) -> Path:
    """Send messages from two threads at once; return the folder that has them."""
    logger = DataLogger(base, "rig")

    def send(source: str) -> None:
        for number in range(count):
            logger.put(source, 20 * (number + 1), number.to_bytes(8, "little"))

    with logger:
        threads = [threading.Thread(target=send, args=(name,)) for name in ("encoder", "camera")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return logger.output_directory


if __name__ == "__main__":
    random_walk(Path(sys.argv[1]))
