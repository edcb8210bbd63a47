"""Settling: end reservations, each only while its receipt still holds.

A receipt is the row's `seq` and a random token, new with every claim. Neither is used twice, so a
receipt proves one reservation and no other, and settling finds its rows by primary key, which is
`seq`, or on PostgreSQL the id.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from lagoqueue._time import to_seconds
from lagoqueue.failure import Failure
from lagoqueue.job import Job
from lagoqueue.queue import Settlement
from lagoqueue_sql.database import Database, Mode
from lagoqueue_sql.failed import record
from lagoqueue_sql.link import Link
from lagoqueue_sql.rows import Key, as_json, duration, key_item, key_of
from lagoqueue_sql.statements import COLUMNS, Statements

UNKNOWN = Failure("unknown", "unknown")


class Endings:
    """Settlements, sorted by what they ask for. Of two of one reservation the first counts.

    Args:
        settlements: What to do.
        unsure: Reservations that were settled before, when the connection was lost before the answer came.
        is_recent: Whether that was so lately that nobody else can have had the job since.

    Attributes:
        acks: The reservations to end because the job is done.
    """

    def __init__(
        self,
        settlements: Sequence[Settlement],
        unsure: Collection[Key] = (),
        is_recent: Callable[[Key], bool] = lambda key: False,
    ) -> None:
        self._settlements = settlements
        keys = [key_of(each.job) for each in settlements]
        self._first = dict(zip(keys, settlements, strict=True))
        if len(self._first) < len(keys):
            self._first = dict(zip(reversed(keys), reversed(settlements), strict=True))
        self._others = {key: each for key, each in self._first.items() if each.action != "ack"}
        self.acks = [key for key in self._first if key not in self._others] if self._others else list(self._first)
        self._unsure = self._first.keys() & unsure if unsure else ()
        self._is_recent = is_recent

    @property
    def keys(self) -> Collection[Key]:
        """All reservations that these end."""
        return self._first.keys()

    @property
    def only_acks(self) -> bool:
        """Whether jobs are done, and nothing else."""
        return not self._others

    @property
    def mode(self) -> Mode:
        """The transaction that these need."""
        if self.only_acks:
            return Mode.SINGLE
        return Mode.ATOMIC if self.acks or any(each.action == "fail" for each in self._others.values()) else Mode.SINGLE

    def end_others(self, database: Database, link: Link, sql: Statements, now: int) -> set[Key]:
        """End those that are no acks, with one statement for each kind; return the reservations that held until then."""
        held: set[Key] = set()
        back = {key: each for key, each in self._others.items() if each.action != "fail"}
        if back:
            items = [
                key_item(key) | {"d": duration(to_seconds(each.delay, "delay")), "b": int(each.action == "release")}
                for key, each in back.items()
            ]
            held |= _held(database, link, sql, sql.put_back, items, now)
        fails = {key: each.failure or UNKNOWN for key, each in self._others.items() if each.action == "fail"}
        if fails:
            held |= _bury(database, link, sql, fails, now)
        return held | self._done_before(link, sql, self._others.keys() - held)

    def ack(self, database: Database, link: Link, sql: Statements) -> set[Key]:
        """End the acked, and return the reservations that held until then."""
        held = set(database.ack(link, sql, self.acks)) if self.acks else set()
        return held | self.acked_before(link, sql, held)

    def acked_before(self, link: Link, sql: Statements, held: Collection[Key]) -> set[Key]:
        """Return which acks went through when they were tried before; `held` has those that went through now."""
        return self._done_before(link, sql, [key for key in self.acks if key not in held]) if self._unsure else set()

    def _done_before(self, link: Link, sql: Statements, keys: Iterable[Key]) -> set[Key]:
        return {key for key in keys if key in self._unsure and self._was_done(link, sql, key)}

    def _was_done(self, link: Link, sql: Statements, key: Key) -> bool:
        """Tell whether the first try of a settlement went through, though its answer never came.

        A row that lies there with our receipt was put back by that try, since a reservation that expires loses its
        receipt. One that is gone was removed by it, unless the reservation may have expired since: then somebody else
        may have removed it, and it counts as lost.
        """
        rows = link.rows(sql.outcome, {"seq": key.seq, "id": key.id})
        if self._first[key].action in ("ack", "fail"):
            return not rows and self._is_recent(key)
        return bool(rows) and rows[0][0] == key.token and rows[0][1] is None

    def lost(self, held: Collection[Key]) -> list[Settlement]:
        """Return those whose reservation was gone; the second settlement of one finds it gone as well."""
        if len(held) == len(self._settlements):
            return []
        return [
            each
            for each in self._settlements
            if self._first[key_of(each.job)] is not each or key_of(each.job) not in held
        ]


def settle(database: Database, link: Link, sql: Statements, endings: Endings, *, now: int) -> list[Settlement]:
    """End the reservations with one statement for each kind of ending; return those that were lost.

    Args:
        database: Whose statements these are.
        link: Runs them.
        sql: The statements.
        endings: What to do.
        now: The caller's time in microseconds, for stores without a clock.
    """
    held = endings.end_others(database, link, sql, now)
    return endings.lost(held | endings.ack(database, link, sql))


def extend(
    database: Database, link: Link, sql: Statements, jobs: Sequence[Job], *, now: int, timeout: int
) -> list[Job]:
    """Let the reservations run for `timeout` microseconds from now; return the jobs that were lost."""
    if not jobs:
        return []
    keys = {key_of(job) for job in jobs}
    held = _held(database, link, sql, sql.extend, list(keys), now, timeout=timeout)
    return [job for job in jobs if key_of(job) not in held]


def _held(
    database: Database,
    link: Link,
    sql: Statements,
    statement: str,
    items: Sequence[dict[str, Any] | Key],
    now: int,
    **values: int,
) -> set[Key]:
    rows = database.held(link, sql, statement, {"batch": as_json(items), "now": now, **values})
    return {Key(row[0], row[1], row[2]) for row in rows}


def _bury(database: Database, link: Link, sql: Statements, fails: dict[Key, Failure], now: int) -> set[Key]:
    """Move jobs to the failed jobs, as the store knows them."""
    batch = as_json(list(fails))
    rows = database.held(link, sql, sql.bury, {"batch": batch, "now": now})
    # failpoint: inside_burial
    columns = COLUMNS.split(", ")
    record(
        link,
        sql,
        [(dict(zip(columns, row[3:], strict=True)), fails[Key(row[0], row[1], row[2])]) for row in rows],
        now=now,
    )
    return {Key(row[0], row[1], row[2]) for row in rows}
