"""``python -m overpaint`` is the command line."""

from overpaint.cli.app import main

if __name__ == "__main__":
    main()
