"""What a filter means in SQL: which index finds the records, and what is checked of each.

One call looks at no more than `COUNT_CAP` records: where there is anything to check it first finds the
last record that it may look at, in the index alone, and then reads up to that one.
"""

# ruff: noqa: S608 - only the checked and quoted names of `Schema`, and numbers of rows, are put into these

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lagoqueue._rows import from_micros
from lagoqueue.monitor import COUNT_CAP, PAGE_SIZE, BulkResult, FailedFilter, FailedPage, FailedView, FailureGroup
from lagoqueue.monitor.paging import read_cursor, write_cursor
from lagoqueue_sql.link import Link, Row
from lagoqueue_sql.rows import to_micros
from lagoqueue_sql.statements_looking import EARLIEST, LATEST, LookingStatements

_VIEW = "id, queue, name, kind, error, attempts, failed_at"
"""The columns that make a `FailedView`, in the order of its fields."""

_LIVE = "id, queue, priority, (SELECT live.seq FROM {jobs} AS live WHERE live.id = {failed_jobs}.id) AS live"

FLUSHED = 2_000
"""Records that one transaction of a flush drops: some hundredths of a second of work."""


class IdTaken(Exception):
    """A job was pushed under the id of one that was being retried; the retry is to begin anew."""


class Search:
    """The records that a filter means, by way of an index: of all of them, of one label's, or of ids."""

    def __init__(self, sql: LookingStatements, meant: FailedFilter | None) -> None:
        meant = meant or FailedFilter()
        self._sql = sql
        self._table = "{failed_jobs}"
        self._keys: tuple[str, ...] = ("seq",)
        self._window: str | None = None
        self._range = "seq > :above AND seq < :below"
        self._values: dict[str, Any] = {"queue": meant.queue, "looked": COUNT_CAP}
        if meant.ids is not None:
            self._values |= {f"id{number}": job_id for number, job_id in enumerate(meant.ids)}
            names = ", ".join(f":id{number}" for number in range(len(meant.ids)))
            # Sums, which no index has: the records are to be found by their ids, and not among all in their order.
            self._keys = ("seq + 0",)
            self._range = f"id IN ({names}) AND seq + 0 > :above AND seq + 0 < :below"
            if meant.queue is not None:
                self._range += " AND queue = :queue"
        elif meant.queue is not None:
            self._table, self._keys = "{failed_by_queue}", sql.looking.failed_queue_order
            self._range = sql.looking.failed_queue_range
            self._window = sql.looking.failed_queue_window
        self._check = self._checks(meant)

    def _checks(self, meant: FailedFilter) -> str:
        checks = {
            "name": (meant.name, "name = :name"),
            "kind": (meant.kind, "kind = :kind"),
            "text": (meant.text, self._sql.looking.text_in_error),
            "since": (meant.since and to_micros(meant.since), "failed_at >= :since"),
            "until": (meant.until and to_micros(meant.until), "failed_at < :until"),
        }
        given = {name: check for name, check in checks.items() if check[0] is not None}
        self._values |= {name: value for name, (value, _) in given.items()}
        return "".join(f" AND {condition}" for _, condition in given.values())

    # --- Reading ------------------------------------------------------------------------------------

    def find(
        self,
        link: Link,
        columns: str,
        limit: int,
        *,
        above: int = EARLIEST,
        below: int = LATEST,
        newest_first: bool = True,
        lock: bool = False,
    ) -> tuple[Sequence[Row], int | None]:
        """Return up to `limit` records between two numbers, each with its number last.

        Returns:
            The rows, and the number from which to go on; None where there is no more to look at.
        """
        onward = None
        if self._check:
            above, below, onward = self.window(link, COUNT_CAP, above=above, below=below, newest_first=newest_first)
        text = self._select(f"{columns}, seq", self._check, newest_first) + " LIMIT :limit"
        rows = self._rows(
            link, text + (self._sql.looking.lock if lock else ""), above=above, below=below, limit=limit + 1
        )
        if len(rows) > limit:
            return rows[:limit], rows[limit - 1][-1]
        return rows, onward

    def window(
        self, link: Link, looked: int, *, above: int = EARLIEST, below: int = LATEST, newest_first: bool = True
    ) -> tuple[int, int, int | None]:
        """Narrow a range to its first `looked` records.

        Returns:
            The narrowed range, and the number from which to go on; None where that was all.
        """
        text = self._select("seq", "", newest_first) + " LIMIT 2 OFFSET :skip"
        rows = self._rows(link, text, above=above, below=below, skip=looked - 1)
        if not rows:
            return above, below, None
        last = rows[0][0]
        onward = last if len(rows) == 2 else None
        return (last - 1, below, onward) if newest_first else (above, last + 1, onward)

    def count(self, link: Link, cap: int | None) -> int:
        """Return how many there are, of the newest `cap` where that is given."""
        if cap is None:
            everything = self._window is None and self._keys == ("seq",) and not self._check
            where = "" if everything else f" WHERE {self._range}{self._check}"  # without one the smallest index will do
            text = f"SELECT count(*) FROM {self._table}{where}"
            return int(self._rows(link, text, above=EARLIEST, below=LATEST)[0][0])
        cap = min(cap, LATEST)
        above, below, _ = self.window(link, cap) if self._check else (EARLIEST, LATEST, None)
        text = f"SELECT count(*) FROM ({self._select('seq', self._check, True)} LIMIT :limit) AS counted"
        return int(self._rows(link, text, above=above, below=below, limit=cap, looked=cap)[0][0])

    def groups(self, link: Link, limit: int) -> list[FailureGroup]:
        """Return the failures by kind and name, of the newest `COUNT_CAP` records."""
        above, below, _ = self.window(link, COUNT_CAP) if self._check else (EARLIEST, LATEST, None)
        newest = self._select("kind, name, failed_at, seq", self._check, True)
        text = (
            "SELECT kind, name, count(*), min(failed_at), max(failed_at), max(seq)"
            f" FROM ({newest} LIMIT :limit) AS newest GROUP BY kind, name"
        )
        rows = self._rows(link, text, above=above, below=below, limit=COUNT_CAP)
        rows = sorted(rows, key=lambda row: (-row[2], row[0], row[1]))[:limit]
        if not rows:
            return []
        found = link.rows(self._sql.write(f"SELECT seq, id FROM {{failed_jobs}} WHERE {_these(rows)}"), {})
        ids: dict[int, str] = dict(found)
        return [
            FailureGroup(kind, name, count, from_micros(first), from_micros(last), ids[seq])
            for kind, name, count, first, last, seq in rows
            if seq in ids
        ]

    def _select(self, columns: str, check: str, newest_first: bool) -> str:
        keys, where = self._keys, self._range
        if check and self._window is not None:
            keys, where = ("seq",), self._window
        order = ", ".join(f"{key} {'DESC' if newest_first else 'ASC'}" for key in keys)
        return f"SELECT {columns} FROM {self._table} WHERE {where}{check} ORDER BY {order}"

    def _rows(self, link: Link, text: str, **values: int) -> Sequence[Row]:
        return link.rows(self._sql.write(text), self._values | values)


def paged(link: Link, sql: LookingStatements, statement: str, offset: int) -> Sequence[Row]:
    """Return what a statement selects of the page behind so many records, which are passed over by number alone."""
    first = link.rows(sql.failed_first, {"offset": offset})
    return link.rows(statement, {"first": first[0][0], "limit": PAGE_SIZE}) if first else ()


def page(link: Link, search: Search, below: int | None, limit: int) -> FailedPage:
    """Return a page of rows, newest first, from behind a number."""
    rows, onward = search.find(link, _VIEW, limit, below=LATEST if below is None else below)
    views = [
        FailedView(job_id, queue, name, kind, error, attempts, from_micros(failed_at))
        for job_id, queue, name, kind, error, attempts, failed_at, _ in rows
    ]
    return FailedPage(views, None if onward is None else write_cursor(onward))


# --- Changing many --------------------------------------------------------------------------------


class Batch:
    """A part of a walk through what a filter means, from the oldest on to what was the newest at its start."""

    def __init__(self, search: Search, after: str | None, limit: int) -> None:
        self._search = search
        self._limit = limit
        self._place = EARLIEST
        self._end: int | None = None
        if after is not None:
            self._place, self._end = read_cursor(after, tuple[int, int])

    def forget(self, link: Link, sql: LookingStatements) -> BulkResult:
        """Drop the records of this part."""
        rows, onward = self._find(link, sql, "id", lock=False)
        return BulkResult(_drop(link, sql, rows), [], onward)

    def retry(self, link: Link, sql: LookingStatements, *, now: int) -> tuple[BulkResult, Sequence[Row]]:
        """Move the jobs of this part back, due now; in a transaction.

        Returns:
            What was done, and of the jobs that wait again id, queue and priority.

        Raises:
            IdTaken: Roll back and do it again.
        """
        rows, onward = self._find(link, sql, _LIVE, lock=True)
        back = [row for row in rows if row[3] is None]
        if back:
            now = link.rows(sql.clock, {"now": now})[0][0]
            if link.count(sql.write(sql.looking.requeue.replace("seq IN (SEQS)", _these(back))), {"now": now}) < len(
                back
            ):
                raise IdTaken
            # failpoint: inside_retry_many
            _drop(link, sql, back)
        skipped = [row[0] for row in rows if row[3] is not None]
        return BulkResult(len(back), skipped, onward), back

    def _find(
        self, link: Link, sql: LookingStatements, columns: str, *, lock: bool
    ) -> tuple[Sequence[Row], str | None]:
        end = newest(link, sql) if self._end is None else self._end
        below = min(end + 1, LATEST)
        rows, onward = self._search.find(
            link, columns, self._limit, above=self._place, below=below, newest_first=False, lock=lock
        )
        return rows, None if onward is None else write_cursor(onward, end)


def newest(link: Link, sql: LookingStatements) -> int:
    """Return the number of the newest record; 0 without any."""
    return int(link.rows(sql.write("SELECT COALESCE(max(seq), 0) FROM {failed_jobs}"), {})[0][0])


def flush(link: Link, _: int, *, sql: LookingStatements, above: int, end: int) -> tuple[int, int | None]:
    """Drop the oldest records above a number; return how many, and where to go on."""
    above, below, onward = Search(sql, None).window(link, FLUSHED, above=above, below=end + 1, newest_first=False)
    text = sql.write("DELETE FROM {failed_jobs} WHERE seq > :above AND seq < :below")
    return link.count(text, {"above": above, "below": below}), onward


def _drop(link: Link, sql: LookingStatements, rows: Sequence[Row]) -> int:
    return link.count(sql.write(f"DELETE FROM {{failed_jobs}} WHERE {_these(rows)}"), {}) if rows else 0


def _these(rows: Sequence[Row]) -> str:
    """Return the condition that is true of these rows, each given with its number last."""
    return f"seq IN ({', '.join(str(int(row[-1])) for row in rows)})"
