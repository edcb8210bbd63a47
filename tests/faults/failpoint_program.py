"""A process with failpoints: `python failpoint_program.py ORDERS`; see `failpoint_roles.Orders`, in JSON."""

from __future__ import annotations

from tests.faults import failpoints

if __name__ == "__main__":
    failpoints.install()  # before the next line imports lagoqueue
    from tests.faults import failpoint_roles

    failpoint_roles.main()
