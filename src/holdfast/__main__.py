"""``python -m holdfast``: the command, where its script is not on PATH."""

from holdfast.cli import main

main()
