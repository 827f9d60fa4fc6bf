"""A pipeline of jobs with a typed configuration, whose results are sealed and moved.

``python examples/pipeline.py``
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from holdfast import (
    ProcessingTracker,
    YamlConfig,
    seal_directory,
    transfer_directory,
    verify_directory,
)


@dataclass
class Smoothing(YamlConfig):
    """What the pipeline does."""

    width: int = 5
    """How many samples are averaged."""
    folder: Path = Path("session")


def main() -> None:
    """Smooth three recordings, then archive them."""
    Smoothing().to_yaml(Path("smoothing.yaml"), comments=True)
    config = Smoothing.from_yaml(Path("smoothing.yaml"))
    config.folder.mkdir(exist_ok=True)

    tracker = ProcessingTracker(Path("tracker.yaml"))
    recordings = ["a", "b", "c"]
    jobs = tracker.initialize_jobs([("smooth", name) for name in recordings])
    for job, name in zip(jobs, recordings, strict=True):
        with tracker.run_job(job):
            values = np.random.default_rng(0).normal(size=1000)
            smooth = np.convolve(values, np.ones(config.width) / config.width, mode="same")
            np.save(config.folder / f"{name}.npy", smooth)
    print(tracker.summarize())

    seal_directory(config.folder)
    transfer_directory(config.folder, Path("archive"), 0, remove_source=True)
    print(verify_directory(Path("archive")))


if __name__ == "__main__":
    main()
