"""`python -m lagoqueue`: the same as the `lagoqueue` command."""

from __future__ import annotations

from lagoqueue.cli import main

if __name__ == "__main__":
    main(prog_name="lagoqueue")
