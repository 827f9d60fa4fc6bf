"""The commands together, and what their failures become: a message and an exit code.

0 fine, 1 ``diff`` found differences, 2 wrong usage or input, 3 something is not there, 4 anything
else that Holdfast or the system refused, 130 interrupted from the keyboard, 141 nobody reads the
output any more.
"""

import os
import sys
import warnings
from typing import Any, NoReturn

import click

from holdfast import __version__
from holdfast._text import visible
from holdfast.cli import (
    _compare,
    _demo,
    _gc,
    _integrity,
    _jobs,
    _listing,
    _messages,
    _movie,
    _recover,
    _show,
    _store,
    _tail,
)
from holdfast.cli._output import REFUSED
from holdfast.errors import HoldfastError, InvalidInputError, MissingFileError, NotFoundError

USAGE, MISSING, INTERRUPTED, PIPE_CLOSED = 2, 3, 130, 141


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="holdfast")
def holdfast() -> None:
    """Look at what scientific runs have left in plain directories.

    Exit codes: 0 fine, 1 diff found differences, 2 wrong usage or input, 3 not there,
    4 refused, 130 interrupted.
    """


@holdfast.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    For bash, put this line into ~/.bashrc:  eval "$(holdfast completion bash)"
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise InvalidInputError(f"there is no completion for {shell!r}")
    click.echo(kind(holdfast, {}, "holdfast", "_HOLDFAST_COMPLETE").source())


for _command in (
    _listing.ls,
    _listing.table,
    _show.show,
    _movie.movie,
    _compare.diff,
    _tail.tail,
    _jobs.jobs,
    _messages.messages,
    _messages.assemble,
    _integrity.seal,
    _integrity.verify,
    _integrity.copy,
    _recover.recover,
    _store.sql,
    _store.reindex,
    _store.explain,
    _gc.gc,
    _demo.demo,
):
    holdfast.add_command(_command)


def run() -> NoReturn:
    """Run the command with the process's arguments, and exit."""
    warnings.showwarning = _show_warning
    try:
        code = holdfast.main(prog_name="holdfast", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader of our output left, as head does; what is buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = PIPE_CLOSED
    except (HoldfastError, OSError) as error:
        click.echo(f"holdfast: {visible(str(error))}", err=True)
        code = _exit_code(error)
    sys.exit(code if isinstance(code, int) else 0)


def _exit_code(error: Exception) -> int:
    if isinstance(error, InvalidInputError):
        return USAGE
    if isinstance(error, MissingFileError | NotFoundError):
        return MISSING
    return REFUSED


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"holdfast: {visible(str(message))}", err=True)
