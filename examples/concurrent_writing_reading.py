"""One process measures, another watches: rows are seen the moment they are appended.

A damped oscillator is integrated in a process of its own, which appends every step to an HDF5
file. Meanwhile this process follows the stream, and so does a plain HDF5 reader, which sees the
rows at the checkpoints. In the end the file is like any other HDF5 file.
"""

import multiprocessing
import time

import h5py

from holdfast import h5logger

STEPS = 20_000


def measure(filename: str) -> None:
    """Integrate ``x'' = -x - 0.1 x'`` by the semi-implicit Euler scheme, and log every step."""
    dt, x, v = 1e-3, 1.0, 0.0
    with h5logger(filename, replace_if_exists=True, concurrent_readers=True) as logger:
        logger.set_attributes("energy", units="J")
        for step in range(STEPS):
            v -= dt * (x + 0.1 * v)
            x += dt * v
            logger.log("time", step * dt)
            logger.log("energy", 0.5 * (x * x + v * v))
            if step % 100 == 0:
                time.sleep(0.01)  # as slow as an instrument


def watch(filename: str) -> None:
    """Follow the energy until the writer has ended, and look in with plain h5py now and then."""
    energy = h5logger.open(filename)["energy"]
    for number, value in enumerate(energy.follow()):
        if number % 5000 == 0:
            with h5py.File(filename, "r", libver="latest", swmr=True) as plain:
                shown = len(plain["energy"]) if "energy" in plain else 0
            print(f"row {number}: {value:.4f} J; live rows {len(energy)}, h5py sees {shown}")
    print(f"the writer has ended after {len(energy)} rows")


def main() -> None:
    """Start the writer, wait for its file, and follow it."""
    writer = multiprocessing.get_context("spawn").Process(target=measure, args=("damped",))
    writer.start()
    while True:
        try:
            if "energy" in h5logger.open("damped"):
                break
        except FileNotFoundError:
            pass
        time.sleep(0.01)
    watch("damped.h5")
    writer.join()
    with h5py.File("damped.h5") as file:
        print(f"in the file: {file['energy'][:].size} rows in {file['energy'].attrs['units']}")


if __name__ == "__main__":
    main()
