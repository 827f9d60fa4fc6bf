"""The HDF5 thread outlives whatever befalls those who wait for it."""

from helpers import output


def test_interrupts_of_whoever_waits_do_not_stop_the_thread() -> None:
    said = output(
        """
        import signal, time
        from holdfast.hdf5._thread import Hdf5Thread

        def interrupt(*_):
            raise KeyboardInterrupt

        thread = Hdf5Thread(lambda: None, 60.0)
        signal.signal(signal.SIGALRM, interrupt)
        until, interrupts, results = time.monotonic() + 3, 0, 0
        while time.monotonic() < until or interrupts <= 100:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0003 + 1e-7 * interrupts)
                while True:
                    results += thread.submit(lambda: 1).result()
            except KeyboardInterrupt:
                interrupts += 1
        print(thread.submit(lambda: "alive").result(), results > 100)
        """
    )

    assert said == "alive True"


def test_nothing_is_imported_by_a_first_row() -> None:
    """An import that an interrupt cuts short begins anew with each append."""
    said = output(
        """
        import sys
        import numpy as np
        from holdfast.hdf5 import AppendFile

        before = set(sys.modules)
        with AppendFile("x.h5") as file:
            file.append("a", 1.5)
            file.append("b", np.zeros(3))
            print({name for name in set(sys.modules) - before if "numpy" in name})
        """
    )

    assert said == "set()"
