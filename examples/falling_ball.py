"""A sweep with a failure: a ball falls for a hundred steps, and one time step is too long for that.

The ball starts at rest 100 m above the ground. After time t it has fallen ``g t^2 / 2`` and reaches
the ground after 4.5 s. With a step of 0.01 s the hundred steps end after one second, well above
the ground; with 0.5 s they would last 50 s, so the ball hits the ground on the way, and the program
says so by an exception. The experiment records that run as failed and goes on.
"""

from holdfast import Experiment, Logbook

G = 9.81
"""Acceleration of free fall, m/s^2."""


def fall(log: Logbook, dt: float) -> None:
    """Let the ball fall for a hundred steps of semi-implicit Euler."""
    height, speed = 100.0, 0.0
    for _ in range(100):
        speed += G * dt
        height -= speed * dt
        if height < 0:
            raise RuntimeError(f"the ball hit the ground (height {height:.2f} m)")
    log.json("metrics", {"final_height": height, "final_speed": speed})


def main() -> None:
    """Run both time steps, then print the table and the reason of the failure."""
    experiment = Experiment("falling_ball")
    # One process is enough for two short runs. Run again, both are skipped: they are there.
    print(experiment.run(fall, {"dt": [0.01, 0.5]}, workers=1))
    print()
    print(experiment.table())
    print()
    for run in experiment.reader:
        if run.state == "failed":
            print(f"{run.run_id} failed: {run.meta['failure_reason']}")


if __name__ == "__main__":
    main()
