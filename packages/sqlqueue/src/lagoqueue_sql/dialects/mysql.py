"""MySQL and MariaDB through PyMySQL: bounded connections, the operations' differences, and what errors mean."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, TypeVar

import msgspec
import pymysql  # type: ignore[import-untyped]
import sqlalchemy as sa
from pymysql.constants import CLIENT, ER, FIELD_TYPE, SERVER_STATUS  # type: ignore[import-untyped]
from pymysql.converters import conversions  # type: ignore[import-untyped]

from lagoqueue.errors import DriverError, SchemaMissing
from lagoqueue.failure import MAX_ERROR, MAX_TRACEBACK
from lagoqueue.job import MAX_PRIORITY
from lagoqueue_sql.claim import SEQ
from lagoqueue_sql.database import Database, Mode, Trouble, own_error
from lagoqueue_sql.dialects.mysql_health import CHECKS
from lagoqueue_sql.dialects.mysql_looking import MySQLLooking
from lagoqueue_sql.dialects.mysql_statements import MySQLStatements
from lagoqueue_sql.health import Check
from lagoqueue_sql.link import Link, Placeholders, Row, Values
from lagoqueue_sql.outlook import Level
from lagoqueue_sql.rows import Key, as_json
from lagoqueue_sql.statements import Statements

T = TypeVar("T")

NEEDED = {"MySQL": (8, 0, 11), "MariaDB": (10, 6, 0)}
"""The first releases with SKIP LOCKED and JSON_TABLE."""

SETUP_TIMEOUT = 600.0
"""Seconds that a step of `setup` may take, such as waiting for other processes' setup."""

IDLE = 60
"""Seconds of silence after which the server drops a client, and what it had locked; its own default is hours."""

STATEMENT = 1_000_000
"""Characters after which an insert of several jobs goes on in another statement."""

_FAILURE = 4 * (MAX_TRACEBACK + 2 * MAX_ERROR) + 4096
"""Bytes by which a job grows when it fails; what is pushed leaves room for them in the server's largest packet."""

_TOO_LARGE = 1153
_CONFLICT = frozenset((ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT, ER.CHECKREAD))
_READ_ONLY = frozenset((1290, 1792, 1836))
_NOT_READY = 1047
"""A node of a Galera cluster that does not take part in it at present."""
_GONE = frozenset((1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031))
"""The server ended the connection, by what it says; what the driver finds out is from 2000 to 2999."""

_REASONS: tuple[tuple[frozenset[int], str], ...] = (
    (
        frozenset((1044, 1142, 1143, 1227, 1370)),
        (
            "this user may not do that in {}: grant it SELECT, INSERT, UPDATE and DELETE on the tables, "
            "and for setup() CREATE, ALTER and INDEX"
        ),
    ),
    (
        frozenset((1045, 1130, 1698)),
        "{} refuses this user: look at the name, the password and from where it may log in",
    ),
    (frozenset((1046, 1049)), "there is no such database as {}: create it, or correct the URL"),
    (frozenset((1021, 1038, 1040, 1041, 1114, 1203, 1226)), "{} has run out of a resource"),
    (_READ_ONLY, "{} is read-only at present: it may be a replica, or in the middle of a failover"),
    (
        frozenset((_TOO_LARGE,)),
        (
            "a job is too large for {}: raise the server's max_allowed_packet, or keep the data elsewhere "
            "and its address in the payload"
        ),
    ),
    (_CONFLICT, "{} was locked by other transactions for too long: try again, or shorten those"),
)

_SHOWS_VALUES = frozenset((1062, 1064, 1292, 1366, 1406, 3140, 3141))
"""Errors whose texts repeat a part of the statement."""

_decode_batch = msgspec.json.Decoder(list[dict[str, Any]]).decode


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


_CONVERSIONS = {**conversions, FIELD_TYPE.VAR_STRING: _text, FIELD_TYPE.STRING: _text}
"""The driver's, but VARBINARY is text: it is how `Schema` keeps what is compared byte by byte."""


class Connection(pymysql.connections.Connection):  # type: ignore[misc]
    """A connection that refuses by itself what the server would answer by hanging up."""

    max_packet = 1_000_000
    """Bytes of the largest statement that the server takes."""

    def query(self, sql: str | bytes, unbuffered: bool = False) -> Any:
        text = sql.encode(self.encoding) if isinstance(sql, str) else sql
        if len(text) >= self.max_packet:
            raise too_large(len(text), self.max_packet)
        return super().query(text, unbuffered)


class MySQL(Database):
    """One database of a server, and the settings under which connections to it are opened.

    An operation of several statements makes its own transaction unless it is called in one.

    Attributes:
        login: What to pass to any driver's connect in place of what the URL or the user says.
    """

    placeholders: ClassVar[Placeholders] = "pyformat"
    look_every: ClassVar[float] = 0.1
    poll: ClassVar[float] = 1.0
    claim_mode: ClassVar[Mode] = Mode.SINGLE
    checks: ClassVar[Sequence[Check]] = CHECKS

    def __init__(self, url: sa.URL, *, connect_args: Mapping[str, Any], timeout: float) -> None:
        self._url = url.set(drivername="mysql+pymysql")
        self.statements = MySQLStatements()
        self.looking = MySQLLooking()
        self.errors = (pymysql.Error,)
        self.patience = timeout
        self._engine = sa.create_engine("mysql+pymysql://", creator=self._connect_for_ddl, poolclass=sa.NullPool)
        self.dialect = self._engine.dialect
        _, arguments = self.dialect.create_connect_args(self._url)
        self._arguments: dict[str, Any] = {
            "connect_timeout": timeout,
            "read_timeout": timeout,
            "write_timeout": timeout,
            "program_name": "lagoqueue",
            **arguments,
            **connect_args,
            "autocommit": True,
            "charset": "utf8mb4",
            "conv": _CONVERSIONS,
            "cursorclass": pymysql.cursors.Cursor,
        }
        self.login = _login(self._arguments)
        self._arguments |= self.login
        # The count of an UPDATE is of the rows that it found, as in every other database and under SQLAlchemy.
        self._arguments["client_flag"] = self._arguments.get("client_flag", 0) | CLIENT.FOUND_ROWS
        # A server gives up waiting before the driver gives up the server: then it is known that nothing was done.
        lock_wait = max(1, int(timeout / 2))
        self._session = (
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            (
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', "
                f"innodb_lock_wait_timeout = {lock_wait}, lock_wait_timeout = {lock_wait}, "
                f"wait_timeout = {max(IDLE, math.ceil(2 * timeout))}"
            ),
        )

        # What a lost connection had locked ends with wait_timeout; MariaDB can be told to look at transactions alone.
        self._idle_transaction = f"SET SESSION idle_transaction_timeout = {math.ceil(timeout)}"

    # --- Connections and transactions ---------------------------------------------------------------

    def connect(self, **arguments: Any) -> Connection:
        """Open a connection whose waits are bounded.

        Args:
            arguments: For the driver, in place of those from the settings.

        Raises:
            DriverError: The server is too old, or the driver lacks what its way to log in needs.
        """
        try:
            connection = Connection(**self._arguments | arguments)
        except RuntimeError as error:  # of the package cryptography, without TLS
            raise DriverError(f"cannot log in to {self._name}: {error}") from error.with_traceback(None)
        except pymysql.Error as error:
            raise error.with_traceback(None)  # noqa: B904 - the driver's frames hold the password, and some logs show frames
        try:
            link = Link(connection)
            ((version, max_packet),) = link.rows("SELECT VERSION(), @@max_allowed_packet", {})
            check_version(version)
            connection.max_packet = max_packet
            for statement in self._session:
                link.run(statement)
            if "mariadb" in version.lower():
                link.run(self._idle_transaction)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_for_ddl(self) -> Connection:
        connection = self.connect(read_timeout=SETUP_TIMEOUT)
        connection.autocommit(False)
        return connection

    def open(self) -> Link:
        return Link(self.connect())

    def run(self, link: Link, function: Callable[[Link], T], mode: Mode) -> T:
        if mode is not Mode.ATOMIC:
            return function(link)
        with transaction(link):
            return function(link)

    def close(self, link: Link) -> None:
        with suppress(pymysql.Error):
            link.connection.close()

    def interrupt(self, link: Link) -> None:
        sock = link.connection._sock
        if sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS's, which is not for two threads

    def is_stale(self, link: Link) -> bool:
        try:
            link.connection.ping(reconnect=False)
        except pymysql.Error:
            return True
        return False

    @contextmanager
    def ddl(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:  # the lock ends with the connection; DDL commits by itself
            locked = connection.exec_driver_sql(f"SELECT GET_LOCK('lagoqueue_setup', {SETUP_TIMEOUT - 10})").scalar()
            if locked != 1:
                raise DriverError(f"another process has been setting up {self._name} for {SETUP_TIMEOUT - 10:g} s")
            yield connection
            connection.commit()

    # --- Operations that differ ---------------------------------------------------------------------

    def push(self, link: Link, sql: Statements, rows: Sequence[dict[str, Any]]) -> int:
        """Insert with as few statements as fit: several rows at once are six times as fast as one by one."""
        insert, _, values = sql.push.partition(";")
        cursor, escape = link.connection.cursor(), link.connection.escape
        largest = self._room(link)
        stored, length, batch = 0, 0, list[str]()
        for row in rows:
            text = values % {key: each if type(each) is int else escape(each) for key, each in row.items()}
            if len(text) > largest:
                raise too_large(len(text), largest)
            if batch and length + len(text) > min(STATEMENT, largest):
                stored += cursor.execute(insert + ",".join(batch))
                length, batch = 0, []
            batch.append(text)
            length += len(text) + 1
        return stored + int(cursor.execute(insert + ",".join(batch)))

    def push_each(self, link: Link, sql: Statements, rows: Sequence[dict[str, Any]]) -> list[bool]:
        """Insert them at once, and one by one when not all are new: which they were is not told, and `seq` does not tell.

        An id that another transaction brought meanwhile may have a higher one.
        """
        link.run("SAVEPOINT together")
        if self.push(link, sql, rows) == len(rows):
            return [True] * len(rows)
        link.run("ROLLBACK TO SAVEPOINT together")
        return [self.push(link, sql, [row]) == 1 for row in rows]

    def _room(self, link: Link) -> int:
        """Return the bytes that one job may take, so that there is room for its failure later."""
        connection = link.connection
        packet = connection.max_packet if isinstance(connection, Connection) else Connection.max_packet
        return max(packet - _FAILURE, packet // 2)

    def look(self, link: Link, sql: Statements, labels: Sequence[str], now: int) -> Sequence[Row]:
        rows: list[Row] = []
        for label in labels:
            priority: int | None = -MAX_PRIORITY - 1
            while priority is not None:
                ((priority, first, store_now),) = link.rows(sql.look, {"queue": label, "above": priority, "now": now})
                rows.append((label, priority, first, store_now))
        return rows

    def claim(self, link: Link, sql: Statements, levels: Sequence[Level], values: dict[str, Any]) -> Sequence[Row]:
        lock, _, take = sql.claim.partition(";")
        rows: list[Row] = []
        with transaction(link):
            for queue, priority, floor, floor_seq in levels:
                left = values["limit"] - len(rows)
                if left == 0:
                    break
                where = {"queue": queue, "priority": priority, "floor": floor, "floor_seq": floor_seq, "limit": left}
                rows += link.rows(lock, values | where)
            if rows:
                link.count(take, values | {"seqs": [row[SEQ] for row in rows]})
        return rows

    def ack(self, link: Link, sql: Statements, keys: Sequence[Key]) -> Collection[Key]:
        """Remove jobs that are done, with one statement; only when its count tells of lost ones, find out which those are."""
        if len(keys) == 1:
            return super().ack(link, sql, keys)
        exactly = [(key.seq, key.token, key.id) for key in keys]
        values = {"keys": exactly, **_where([(key.id, key.seq, key.token) for key in keys])}
        with transaction(link):
            link.run("SAVEPOINT acks")
            if link.count(sql.ack.split(";")[2], values) == len(keys):
                return keys
            link.run("ROLLBACK TO SAVEPOINT acks")
            return super().ack(link, sql, keys)

    def turn(
        self, link: Link, sql: Statements, acks: Sequence[Key], levels: Sequence[Level], values: dict[str, Any]
    ) -> tuple[Collection[Key], Sequence[Row]]:
        with transaction(link):
            return super().turn(link, sql, acks, levels, values)

    def reclaim(self, link: Link, sql: Statements, values: Values) -> Sequence[Row]:
        return self._let_go(link, sql.reclaim, values)

    def release_orphans(self, link: Link, sql: Statements, values: Values) -> Sequence[Row]:
        return self._let_go(link, sql.release_orphans, values)

    def _let_go(self, link: Link, statement: str, values: Values) -> Sequence[Row]:
        lock, _, let_go = statement.partition(";")
        with transaction(link):
            rows = link.rows(lock, values)
            if rows:
                link.count(let_go, {"seqs": [row[0] for row in rows]})
        return [row[1:] for row in rows]

    def held(self, link: Link, sql: Statements, statement: str, values: Values) -> Sequence[Row]:
        """A batch of one takes one statement, whose count says it all, unless the columns are wanted."""
        lock, write, *_ = statement.split(";")
        items = {(item["i"], item["s"], item["r"]): item for item in _decode_batch(values["batch"])}
        if len(items) == 1 and statement is not sql.bury:
            return list(items) if link.count(write, {**values, **_where(items)}) else []
        with transaction(link):  # what the lists let through may be one job's seq and another's receipt
            rows = [row for row in link.rows(lock, _where(items)) if row[:3] in items]
            if rows:
                held = {row[:3]: items[row[:3]] for row in rows}
                link.count(write, {**values, **_where(held), "batch": as_json(list(held.values()))})
        return rows

    # --- Errors -------------------------------------------------------------------------------------

    def trouble(self, error: Exception) -> Trouble:
        """Whoever is read-only or outside its cluster may be so for long; the next connection may lead elsewhere."""
        own = own_error(error)
        code = _code(own)
        if code in _CONFLICT or code == ER.DUP_ENTRY:  # a delete and insert that met another of the same row
            return Trouble.CONFLICT
        if code in _READ_ONLY or code == _NOT_READY:
            return Trouble.SPOILT
        if code == 0:  # no answer of the server's: the driver lost it, or could not read it
            return (
                Trouble.LOST
                if isinstance(own, (pymysql.OperationalError, pymysql.InternalError, pymysql.InterfaceError))
                else Trouble.REFUSED
            )
        return Trouble.LOST if code in _GONE or 2000 <= code < 3000 else Trouble.REFUSED

    def translate(self, error: Exception) -> DriverError:
        own = own_error(error)
        code = _code(own)
        text = f"error {code}" if code in _SHOWS_VALUES or len(own.args) < 2 else f"{code}: {own.args[1]}"
        if code == ER.NO_SUCH_TABLE:
            return SchemaMissing(f"{self._name} has no tables for this queue: run `await queue.setup()` ({text})")
        return DriverError(f"{self._explain(error, code)} ({text})")

    @property
    def _name(self) -> str:
        """The database, as messages name it: without user and password."""
        return repr(f"mysql://{self._url.host or ''}/{self._url.database or ''}")

    def _explain(self, error: Exception, code: int) -> str:
        for codes, reason in _REASONS:
            if code in codes:
                return reason.format(self._name)
        if self.trouble(error) is Trouble.LOST:
            return f"{self._name} could not be reached, or stopped answering"
        return f"{self._name} refused"


@contextmanager
def transaction(link: Link) -> Iterator[None]:
    """Make one of what is done inside; part of the caller's, where the connection is in one already."""
    status = link.connection.server_status
    if status & SERVER_STATUS.SERVER_STATUS_IN_TRANS or not status & SERVER_STATUS.SERVER_STATUS_AUTOCOMMIT:
        yield
        return
    link.run("BEGIN")
    try:
        yield
        # failpoint: before_commit
        link.run("COMMIT")
    except BaseException:
        if link.connection.open:
            with suppress(pymysql.Error):
                link.run("ROLLBACK")
        raise
    # failpoint: after_commit


def check_version(version: str) -> None:
    """Refuse a server that is too old, by what it says its version is."""
    name = "MariaDB" if "mariadb" in version.lower() else "MySQL"
    numbers = re.search(r"(\d+)\.(\d+)\.(\d+)", version)
    needed = NEEDED[name]
    if numbers is None or tuple(map(int, numbers.groups())) < needed:
        raise DriverError(
            f"{name} {'.'.join(map(str, needed))} or newer is needed, but the server has {version}: upgrade it"
        )


def too_large(size: int, limit: int) -> Exception:
    """Return the error for a statement that the server would not take."""
    return pymysql.OperationalError(  # type: ignore[no-any-return]
        _TOO_LARGE, f"{size} bytes, and its max_allowed_packet lets {limit} through"
    )


def _login(arguments: Mapping[str, Any]) -> dict[str, bytes]:
    """Return a password as the server has it, where the drivers would not send it so.

    They write it in Latin-1, which is another one as soon as it has an umlaut, and raise an error that shows all
    of it where Latin-1 lacks a character.
    """
    passwords = {name: arguments.get(name) for name in ("password", "passwd")}
    return {name: text.encode() for name, text in passwords.items() if isinstance(text, str) and not text.isascii()}


def _where(keys: Collection[tuple[str, int, str]]) -> dict[str, Any]:
    ids, seqs, receipts = zip(*keys, strict=True)
    return {"ids": ids, "seqs": seqs, "receipts": set(receipts)}


def _code(error: Exception) -> int:
    """Return the server's or the driver's number of an error; 0 when it has none."""
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0
