"""PostgreSQL through psycopg 3: bounded connections, the statements' differences, and what errors mean.

Connections are synchronous and belong to a thread each. A coroutine that waits for a server which has
stopped answering cannot be cancelled (psycopg issue 1371); a thread that waits with a deadline gives up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg import errors

from lagoqueue.errors import DriverError, DuplicateJob, SchemaMissing
from lagoqueue.job import Job
from lagoqueue_sql.claim import ATTEMPTS, SEQ
from lagoqueue_sql.database import Database, Mode, Trouble, own_error
from lagoqueue_sql.dialects.postgresql_health import CHECKS
from lagoqueue_sql.dialects.postgresql_looking import PostgreSQLLooking
from lagoqueue_sql.dialects.postgresql_statements import PostgreSQLStatements
from lagoqueue_sql.health import Check
from lagoqueue_sql.link import Link, Placeholders, Row, Values
from lagoqueue_sql.outlook import Level
from lagoqueue_sql.push import first_in_the_way, which_are_new
from lagoqueue_sql.rows import Key, as_json, job_values
from lagoqueue_sql.statements import Statements

T = TypeVar("T")

NEEDED = 130000
"""The first server version that is supported, as the server numbers them."""

SETUP_TIMEOUT = 600.0
"""Seconds that `setup` may take, waiting for other processes' setup included."""

REPLAN_EVERY = 2000
"""Calls after which statements are planned anew; sooner on a new connection."""

FIXED_PLANS = (
    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off"
)
"""For a connection that claims. By itself the server plans most claims anew, for their limit, which takes up to 0.3 ms.

A plan for any limit expects to take a tenth of the table, so it must not think that a sort or a compiler would pay.
"""

CONFLICTS = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.UniqueViolation,  # of a delete and insert that met another of the same row; a push sees to its own
)
"""What another transaction is to blame for, so that repeating helps."""

_ENDED = ("08", "57P", "25P03", "25P04")
"""How the codes begin with which a server says that it ends the session."""

_SETUP_LOCK = 0x6C61676F
"""The key of the advisory lock under which one process at a time changes the schema."""


class Connection(psycopg.Connection[Row]):
    """A connection on which no wait outlasts `deadline`, whatever the server, the network or a proxy does."""

    deadline = float("inf")
    """A point of time.monotonic(); another thread may move it."""

    meanwhile: Callable[[], object] | None = None
    """Called while the server is at work on a statement."""

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        return super().wait(self._until_deadline(gen), *args, **kwargs)

    def _until_deadline(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        try:
            wanted = next(gen)
            if self.meanwhile is not None:
                self.meanwhile()
            while True:
                ready = yield wanted  # psycopg comes back ten times a second when nothing happens
                if not ready and time.monotonic() > self.deadline:
                    raise errors.OperationalError("the server did not answer in time")
                wanted = gen.send(ready)
        except StopIteration as stop:
            result: T = stop.value
            return result


class PlannedLink(Link):
    """A link on which statements are planned anew now and then.

    The plan of a prepared statement is kept, and one that was made while the table was nearly empty
    reads all of it. Only an ANALYZE would put an end to that, and autovacuum comes once a minute.
    """

    _calls = 0
    _next_plan = 16
    fixed = False

    def begin_call(self) -> None:
        """Let the plans go when it is time."""
        self._calls += 1
        if self._calls >= self._next_plan:
            self._next_plan = self._calls + min(3 * self._calls, REPLAN_EVERY)
            self.run("DISCARD PLANS")


class PostgreSQL(Database):
    """One database of a server, and the settings under which connections to it are opened."""

    placeholders: ClassVar[Placeholders] = "pyformat"
    look_every: ClassVar[float] = 0.1
    poll: ClassVar[float] = 1.0
    claim_mode: ClassVar[Mode] = Mode.SINGLE
    push_mode: ClassVar[Mode] = Mode.SINGLE
    overlaps: ClassVar[bool] = True
    checks: ClassVar[Sequence[Check]] = CHECKS

    def __init__(
        self,
        url: sa.URL,
        *,
        connect_args: Mapping[str, Any],
        timeout: float,
        prepared_statements: bool,
        own_session: bool,
    ) -> None:
        self._url = url.set(drivername="postgresql+psycopg")
        self.statements = PostgreSQLStatements()
        self.looking = PostgreSQLLooking()
        self.errors = (psycopg.Error,)
        self._timeout = self.patience = timeout
        self._prepared = prepared_statements
        self._fixes_plans = prepared_statements and own_session
        # What a lost connection had locked would stay so until the server notices, which may take hours.
        self._begin = f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = {max(1, int(timeout * 1000))}"
        self._engine = sa.create_engine("postgresql+psycopg://", creator=self._connect_for_ddl, poolclass=sa.NullPool)
        self.dialect = self._engine.dialect
        _, arguments = self.dialect.create_connect_args(self._url)
        self.connect_arguments: dict[str, Any] = {
            "application_name": "lagoqueue",
            "connect_timeout": max(2, int(timeout)),
            "keepalives_idle": 30,
            "tcp_user_timeout": int(timeout * 1000),
            **arguments,
            **connect_args,
            "autocommit": True,
            "prepare_threshold": 2 if prepared_statements else None,
        }

    # --- Connections and transactions ---------------------------------------------------------------

    def connect(self) -> Connection:
        """Open a connection whose calls are bounded from now on.

        Raises:
            DriverError: The server is too old.
        """
        try:
            connection = Connection.connect(**self.connect_arguments)
        except psycopg.Error as error:
            raise error.with_traceback(None)  # noqa: B904 - the driver's frames hold the password, and some logs show frames
        check_version(connection.info.server_version)
        connection.deadline = time.monotonic() + self._timeout
        return connection

    def _connect_for_ddl(self) -> Connection:
        connection = self.connect()
        connection.autocommit = False
        connection.deadline = time.monotonic() + SETUP_TIMEOUT
        return connection

    def open(self) -> Link:
        link = PlannedLink if self._prepared else Link
        return link(self.connect(), binary=True)  # a payload is half as long so, and a number needs no parsing

    def run(self, link: Link, function: Callable[[Link], T], mode: Mode) -> T:
        link.connection.deadline = time.monotonic() + self._timeout
        if isinstance(link, PlannedLink):
            link.begin_call()
        if mode is not Mode.ATOMIC:
            return function(link)
        link.connection.execute(self._begin, prepare=False)
        try:
            result = function(link)
            # failpoint: before_commit
            link.run("COMMIT")
        except BaseException:
            if not link.connection.broken:
                with suppress(psycopg.Error):
                    link.run("ROLLBACK")
                if isinstance(link, PlannedLink):
                    link.fixed = False  # it may have been this transaction that did it
            raise
        # failpoint: after_commit
        return result

    def close(self, link: Link) -> None:
        link.connection.deadline = 0.0
        with suppress(psycopg.Error):
            link.connection.close()

    def interrupt(self, link: Link) -> None:
        link.connection.deadline = 0.0

    def is_stale(self, link: Link) -> bool:
        try:
            link.connection.deadline = time.monotonic() + self._timeout
            link.run("SELECT 1")
        except psycopg.Error:
            return True
        return False

    @contextmanager
    def ddl(self) -> Iterator[sa.Connection]:
        with self._engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SETUP_LOCK})")
            yield connection

    # --- Operations that differ ---------------------------------------------------------------------

    def push(self, link: Link, sql: Statements, rows: Sequence[dict[str, Any]]) -> int:
        return link.count(sql.push, rows[0]) if len(rows) == 1 else sum(self.push_each(link, sql, rows))

    def push_each(self, link: Link, sql: Statements, rows: Sequence[dict[str, Any]]) -> list[bool]:
        stored = link.rows(sql.push_each, {"batch": as_json(rows), "now": rows[0]["now"]})
        return which_are_new([row["id"] for row in rows], [job_id for (job_id,) in stored])

    def push_many(
        self, link: Link, sql: Statements, jobs: Sequence[Job], delay: int | None, now: int, *, exist_ok: bool
    ) -> int:
        """Insert jobs by COPY, which does all or nothing in one statement, unless some may stay out.

        Raises:
            DuplicateJob: An id is live or comes twice, and `exist_ok` was not given. Nothing was inserted.
        """
        if exist_ok or len(jobs) < 2:
            return super().push_many(link, sql, jobs, delay, now, exist_ok=exist_ok)
        ((soon,),) = link.rows(sql.time, {"now": now})
        try:
            with link.connection.cursor() as cursor, cursor.copy(sql.push_many) as copy:
                for job in jobs:
                    copy.write_row(job_values(job, delay, soon))
        except errors.UniqueViolation:
            raise DuplicateJob(first_in_the_way(link, sql, [job.id for job in jobs])) from None
        return len(jobs)

    def claim(self, link: Link, sql: Statements, levels: Sequence[Level], values: dict[str, Any]) -> Sequence[Row]:
        self._fix_plans(link)
        return link.rows(sql.claim, values | {"levels": _levels(levels)})

    def turn(
        self, link: Link, sql: Statements, acks: Sequence[Key], levels: Sequence[Level], values: dict[str, Any]
    ) -> tuple[Collection[Key], Sequence[Row]]:
        self._fix_plans(link)
        more = {"levels": _levels(levels), "batch": as_json(acks), "expected": len(acks)}
        rows = link.rows(sql.turn, values | more)
        claimed = [row for row in rows if row[ATTEMPTS] is not None]
        if len(claimed) == len(rows):
            return acks, claimed
        told = [row for row in rows if row[ATTEMPTS] is None and row[SEQ] is not None]
        return {Key(row[0], row[SEQ], row[1]) for row in told}, claimed

    def _fix_plans(self, link: Link) -> None:
        """Let each statement be planned once, and from its index, from a connection's first claim on."""
        if self._fixes_plans and isinstance(link, PlannedLink) and not link.fixed:
            link.connection.execute(FIXED_PLANS, prepare=False)
            link.fixed = True

    def reclaim(self, link: Link, sql: Statements, values: Values) -> Sequence[Row]:
        return link.rows(sql.reclaim, values)

    def release_orphans(self, link: Link, sql: Statements, values: Values) -> Sequence[Row]:
        return link.rows(sql.release_orphans, values)

    def held(self, link: Link, sql: Statements, statement: str, values: Values) -> Sequence[Row]:
        return link.rows(statement, values)

    # --- Errors -------------------------------------------------------------------------------------

    def trouble(self, error: Exception) -> Trouble:
        own = own_error(error)
        if isinstance(own, CONFLICTS):
            return Trouble.CONFLICT
        if isinstance(own, errors.ReadOnlySqlTransaction):  # for long perhaps; the next connection may lead elsewhere
            return Trouble.SPOILT
        code = getattr(own, "sqlstate", None)
        if code is None:  # the answer did not come, or the driver refused by itself
            return (
                Trouble.LOST if isinstance(own, (errors.OperationalError, errors.InterfaceError)) else Trouble.REFUSED
            )
        return Trouble.LOST if code.startswith(_ENDED) else Trouble.REFUSED

    def translate(self, error: Exception) -> DriverError:
        own = own_error(error)
        text = str(own).strip().partition("\n")[0]
        if isinstance(own, errors.UndefinedTable):
            return SchemaMissing(f"{self._name} has no tables for this queue: run `await queue.setup()` ({text})")
        return DriverError(f"{self._explain(own)} ({text})")

    @property
    def _name(self) -> str:
        """The database, as messages name it: without user and password."""
        return repr(f"postgresql://{self._url.host or ''}/{self._url.database or ''}")

    def _explain(self, error: Exception) -> str:
        if isinstance(error, (errors.DuplicatePreparedStatement, errors.InvalidSqlStatementName)):
            return (
                f"{self._name} is behind a pooler that hands connections round: pass prepared_statements=False, "
                "and wakeup='poll', since nobody can listen there"
            )
        if isinstance(error, errors.InsufficientPrivilege):
            return (
                f"this user may not do that in {self._name}: grant it SELECT, INSERT, UPDATE and DELETE on the tables"
            )
        if isinstance(error, errors.ReadOnlySqlTransaction):
            return f"{self._name} is read-only at present: it may be a standby, or in the middle of a failover"
        if isinstance(error, (errors.DiskFull, errors.OutOfMemory, errors.TooManyConnections)):
            return f"{self._name} has run out of a resource"
        if isinstance(error, psycopg.OperationalError):
            return f"{self._name} could not be reached, or stopped answering"
        return f"{self._name} refused"


def _levels(levels: Sequence[Level]) -> str:
    return as_json([{"q": each.queue, "p": each.priority, "f": each.floor, "s": each.floor_seq} for each in levels])


def check_version(found: int) -> None:
    """Refuse a server that is too old."""
    if found < NEEDED:
        raise DriverError(
            f"PostgreSQL {NEEDED // 10000} or newer is needed, but the server has "
            f"{found // 10000}.{found % 10000}: upgrade it"
        )
