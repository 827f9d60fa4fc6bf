"""The exceptions of Holdfast, grouped by what a handler would do about them.

::

    HoldfastError
    ├── NotFoundError          (+ KeyError)         nothing has this name: choose another
    ├── MissingFileError       (+ FileNotFoundError) a file or folder is not there
    ├── AlreadyExistsError     (+ FileExistsError)  something has this name already
    ├── InvalidInputError      (+ ValueError)       the call's arguments are wrong: correct them
    ├── StateError             (+ RuntimeError)     the object cannot do this now
    ├── LockedError            (+ TimeoutError)     somebody else holds it: wait or try later
    ├── IntegrityError         (+ RuntimeError)     data differ from what was written: restore them
    ├── FormatError            (+ ValueError)       a file is not what its name says
    └── MissingDependencyError (+ ImportError, RuntimeError)  install the named extra

    HoldfastWarning            (a UserWarning)      something was left out, and named

What the operating system says (a full disk, no permission) stays an ``OSError``. Every message says
what is wrong, where, and what to do.
"""


class HoldfastError(Exception):
    """Base class of every exception that Holdfast raises on its own account."""

    def __str__(self) -> str:
        # KeyError.__str__ would put quotes around a single argument.
        return str(self.args[0]) if len(self.args) == 1 else super().__str__()


class NotFoundError(HoldfastError, KeyError):
    """Nothing of this name exists in what was searched."""


class MissingFileError(HoldfastError, FileNotFoundError):
    """A file or folder that should be read is not there."""


class AlreadyExistsError(HoldfastError, FileExistsError):
    """Something of this name exists and would have been replaced."""


class InvalidInputError(HoldfastError, ValueError):
    """An argument cannot be accepted; nothing was changed."""


class StateError(HoldfastError, RuntimeError):
    """The object cannot do this in its present state; nothing was changed."""


class LockedError(HoldfastError, TimeoutError):
    """Another process holds what is needed."""


class IntegrityError(HoldfastError, RuntimeError):
    """Stored data are not what was once written."""


class FormatError(HoldfastError, ValueError):
    """A file cannot be understood as the kind of file it should be."""


class MissingDependencyError(HoldfastError, ImportError, RuntimeError):
    """An optional package is needed; the message names the extra that brings it."""


class HoldfastWarning(UserWarning):
    """Something was left out of an answer, and the message names it."""
