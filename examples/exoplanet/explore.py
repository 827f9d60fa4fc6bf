"""Ask for the gravity at several time dilations: what is there is read, the rest is computed.

Run it twice: the second time nothing is computed.
"""

from holdfast import get, launch

DILATIONS = [0.5, 1.0, 2.0]


def main() -> None:
    """Find or make one run for each time dilation, and show what they say."""
    runs = [get("estimate_gravity", {"time_dilation": dilation}) for dilation in DILATIONS]
    print(f"{sum(run.is_finished() for run in runs)} of {len(runs)} runs are there")

    launch(run.group_as("exoplanet/%Y") for run in runs if not run.is_finished())

    for dilation, run in zip(DILATIONS, runs, strict=True):
        fit = run.load_data("fit.json")
        # One second of the lander is `dilation` of ours, so g scales with its inverse square.
        scaled = run.result * dilation**2
        print(
            f"time dilation {dilation}: "
            f"g = {run.result:7.3f} +- {fit['standard_error']:.3f} m/s^2, "
            f"{scaled:.2f} on the lander's clock; {run.finished_at().humanize()}"
        )


if __name__ == "__main__":
    main()
