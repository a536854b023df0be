"""Entry point of the command `tbot`. Imports nothing heavy: child processes import this module, too."""


def main() -> None:
    """Run the command line; the process ends with the exit code of the command."""
    from tbot.cli import run

    run()


if __name__ == "__main__":
    main()
