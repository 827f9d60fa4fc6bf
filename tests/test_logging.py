"""Warnings of Holdfast's own threads: no handler of a program makes one of them wait."""

from helpers import output


def test_a_handler_that_uses_the_file_that_warns_does_not_stop_it() -> None:
    said = output(
        """
        import errno, logging, os
        from holdfast.hdf5 import AppendFile

        class Checkpoints(logging.Handler):
            def emit(self, record):
                if record.name == "holdfast":
                    warned.append(record.getMessage())
                try:
                    file.checkpoint()
                except OSError:
                    pass

        def broken(descriptor):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        warned = []
        file = AppendFile("x.h5")
        file.append("a", 1.0)
        file._engine._thread.interval = 0.001
        whole, os.fsync = os.fsync, broken
        logging.getLogger().addHandler(Checkpoints())
        while len(warned) < 20:
            logging.getLogger("mine").warning("a handler's lock is held while it emits")
        os.fsync = whole
        file.close()
        print(warned[0])
        """
    )
    assert "may not survive a power loss" in said


def test_a_handler_that_raises_costs_no_later_warning() -> None:
    said = output(
        """
        import logging
        from holdfast._logging import warn_soon

        class Bad(logging.Handler):
            def emit(self, record):
                print(record.getMessage(), flush=True)
                raise ValueError

        logging.getLogger().addHandler(Bad())
        for number in range(3):
            warn_soon("warning %s", number)
        """
    )
    assert said.split("\n") == ["warning 0", "warning 1", "warning 2"]


def test_warnings_at_exit_and_of_a_forked_child_reach_their_handlers() -> None:
    said = output(
        """
        import atexit, logging, os, sys
        from holdfast._logging import warn_soon

        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        atexit.register(warn_soon, "the last of %s", "child" if os.fork() == 0 else "parent")
        warn_soon("the first")
        """
    )
    assert sorted(said.split("\n")) == [
        "the first",
        "the first",
        "the last of child",
        "the last of parent",
    ]
