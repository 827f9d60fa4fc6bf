"""Two cameras in processes of their own log frames; afterwards the frames are put in order.

The second camera is killed in the middle of its work, as by a driver that crashes. Every frame that
it had logged is there.
"""

import multiprocessing
import os
import signal
import time

import numpy as np

from holdfast import DataLogger, LogArchiveReader, assemble_log_archives
from holdfast.acquisition import Producer

FRAME = np.dtype([("number", "<u4"), ("brightness", "<f4")])


def record(producer: Producer, name: str, frames: int, dies_after: int) -> None:
    """Log frames, one every 10 ms of the camera's own clock."""
    producer.put(name, 0, np.array([time.time_ns() // 1000], "<i8"))
    for number in range(frames):
        if number == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
        frame = np.array([(number, np.sin(number / 10))], FRAME)
        producer.put(name, 1 + number * 10_000, frame)


def main() -> None:
    """Record, assemble, and print what there is of each camera and of both together."""
    with DataLogger("recordings", "rig") as logger:
        cameras = [
            multiprocessing.Process(target=record, args=(logger.producer, name, 500, dies_after))
            for name, dies_after in (("left", 500), ("right", 200))
        ]
        for camera in cameras:
            camera.start()
        for camera in cameras:
            camera.join()
    assemble_log_archives(logger.output_directory)
    readers = [
        LogArchiveReader(logger.output_directory / f"{name}_log.npz") for name in ("left", "right")
    ]
    for reader in readers:
        frames = reader.decode(FRAME)
        print(f"{reader.source}: {len(frames)} frames, the last is number {frames['number'][-1]}")
    merged = [message.source for message in LogArchiveReader.merge(readers)]
    print(f"together: {len(merged)} frames")


if __name__ == "__main__":
    main()
