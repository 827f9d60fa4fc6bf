"""The command ``holdfast``: parse, call, print. Every listing has ``--json``."""


def main() -> None:
    """Run the command; the entry point that the package installs."""
    from holdfast.cli._app import run

    run()
