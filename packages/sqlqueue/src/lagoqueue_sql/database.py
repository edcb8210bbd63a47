"""`Database`: what is different from one kind of database to the next. `dialects` has one of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from lagoqueue.errors import DriverError
from lagoqueue.job import Job
from lagoqueue_sql.health import Check
from lagoqueue_sql.link import Link, Placeholders, Row, Values
from lagoqueue_sql.outlook import Level
from lagoqueue_sql.push import row_to_push
from lagoqueue_sql.rows import Key, as_json
from lagoqueue_sql.statements import DialectStatements, Statements
from lagoqueue_sql.statements_looking import Looking

T = TypeVar("T")


class Mode(Enum):
    """What a function does, and so the transaction that it needs."""

    READ = "read"
    SINGLE = "single"
    """One statement that writes."""
    ATOMIC = "atomic"
    """Several, of which either all or none may count."""


class Trouble(Enum):
    """What an error of the database means for what was being done."""

    CONFLICT = "conflict"
    """Rolled back on account of another transaction; it may be repeated."""
    LOST = "lost"
    """The connection is gone; what was under way may have been done or not."""
    SPOILT = "spoilt"
    """Nothing was done, and the connection is better opened anew."""
    REFUSED = "refused"
    """Nothing was done, and repeating does not help."""


class Database(ABC):
    """One database and the settings under which connections to it are opened."""

    placeholders: ClassVar[Placeholders]
    look_every: ClassVar[float]
    """Seconds for which a claimer relies on what it saw, unless there is news."""
    poll: ClassVar[float]
    """Seconds between two looks of a pop that waits and that nothing wakes."""
    claim_mode: ClassVar[Mode]
    push_mode: ClassVar[Mode] = Mode.ATOMIC
    """What pushing several jobs takes."""
    checks: ClassVar[Sequence[Check]]
    """What can go wrong in this kind of database, beside what can in all."""
    overlaps: ClassVar[bool] = False
    """Whether a connection calls its `meanwhile` while the server is at work, so that this process can be at work as well."""
    outlives_fork: ClassVar[bool] = True
    """Whether a connection that a fork copied does no harm in the child, where nobody uses it; see `forking`."""

    statements: DialectStatements
    looking: Looking
    patience: float
    """Seconds for which a transaction that met another one is repeated."""
    errors: tuple[type[Exception], ...]
    """What the driver raises."""
    dialect: sa.Dialect

    # --- Connections and transactions ---------------------------------------------------------------

    @abstractmethod
    def open(self) -> Link:
        """Open a connection for the calling thread only; every wait on it is bounded."""

    @abstractmethod
    def run(self, link: Link, function: Callable[[Link], T], mode: Mode) -> T:
        """Call `function` in a transaction as `mode` says, and return once that is committed."""

    @abstractmethod
    def close(self, link: Link) -> None:
        """Close a connection, whatever state it is in. Does not raise, does not wait."""

    def interrupt(self, link: Link) -> None:  # noqa: B027 - a local file answers by itself
        """End what another thread waits for on this connection, which is of no use afterwards."""

    def is_stale(self, link: Link) -> bool:
        """Tell whether a connection that was not used for a while has died meanwhile."""
        return False

    def news(self, link: Link) -> bool | None:
        """Tell whether another connection has written since the last call, for next to nothing; None if that is not known."""
        return None

    @abstractmethod
    def ddl(self) -> AbstractContextManager[sa.Connection]:
        """A transaction for changing the schema, one at a time among all processes."""

    # --- Operations that differ ---------------------------------------------------------------------

    @abstractmethod
    def push(self, link: Link, sql: Statements, rows: Sequence[dict[str, Any]]) -> int:
        """Insert jobs, except under ids that are live, and return how many."""

    @abstractmethod
    def push_each(self, link: Link, sql: Statements, rows: Sequence[dict[str, Any]]) -> list[bool]:
        """Insert jobs, except under ids that are live, and tell for each whether it was inserted."""

    def push_many(
        self, link: Link, sql: Statements, jobs: Sequence[Job], delay: int | None, now: int, *, exist_ok: bool
    ) -> int:
        """Insert jobs, except under ids that are live, and return how many; the caller rolls back where that is wrong."""
        return self.push(link, sql, [row_to_push(job, delay, now) for job in jobs]) if jobs else 0

    def look(self, link: Link, sql: Statements, labels: Sequence[str], now: int) -> Sequence[Row]:
        """Return what `sql.look` says of these labels."""
        batch = as_json([{"q": label} for label in labels])
        return link.rows(sql.look, {"batch": batch, "limit": len(labels), "now": now})

    @abstractmethod
    def claim(self, link: Link, sql: Statements, levels: Sequence[Level], values: dict[str, Any]) -> Sequence[Row]:
        """Reserve due jobs of these levels and return their rows, in no certain order."""

    def ack(self, link: Link, sql: Statements, keys: Sequence[Key]) -> Collection[Key]:
        """Remove jobs that are done, and return the reservations that held until now."""
        batch = as_json(keys)
        return {Key(*row[:3]) for row in self.held(link, sql, sql.ack, {"batch": batch})}

    def turn(
        self, link: Link, sql: Statements, acks: Sequence[Key], levels: Sequence[Level], values: dict[str, Any]
    ) -> tuple[Collection[Key], Sequence[Row]]:
        """Do as `ack` and `claim` do; return the reservations that held until now, and the claimed rows."""
        return self.ack(link, sql, acks), self.claim(link, sql, levels, values)

    @abstractmethod
    def reclaim(self, link: Link, sql: Statements, values: Values) -> Sequence[Row]:
        """Let expired reservations go and return queue, priority and available_at of each."""

    @abstractmethod
    def release_orphans(self, link: Link, sql: Statements, values: Values) -> Sequence[Row]:
        """Let go what a dead worker had reserved and return queue, priority and available_at of each."""

    @abstractmethod
    def held(self, link: Link, sql: Statements, statement: str, values: Values) -> Sequence[Row]:
        """Run a statement over a batch of reservations and return the rows of those still held."""

    # --- Errors -------------------------------------------------------------------------------------

    @abstractmethod
    def trouble(self, error: Exception) -> Trouble:
        """Tell what the driver's error means."""

    @abstractmethod
    def translate(self, error: Exception) -> DriverError:
        """Return what the user is told: the way out, and never a password or a parameter."""


def own_error(error: Exception) -> Exception:
    """Return the driver's own error: SQLAlchemy's text holds the statement, the driver's does not."""
    return error.orig if isinstance(error, DBAPIError) and isinstance(error.orig, Exception) else error
