"""The failed jobs: found, filtered, and grouped by what went wrong."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec

from lagoqueue.errors import InvalidValue
from lagoqueue.monitor import (
    COUNT_CAP,
    PAGE_SIZE,
    FailedFilter,
    FailedJobs,
    FailedPage,
    FailedView,
    FailureGroup,
    JobView,
)
from lagoqueue_dashboard.asking import Ask, checked_ids
from lagoqueue_dashboard.filters import FilterForm
from lagoqueue_dashboard.guarding.refused import Refused
from lagoqueue_dashboard.screens import reads


class GroupRow(msgspec.Struct, frozen=True):
    """The failures of one kind in jobs of one name.

    Attributes:
        group: Kind, name, count, first and last failure, and the id of the newest.
        message: The newest one's error without its kind; "" when it could not be read.
        queue: The label that the newest failed under; "" likewise.
    """

    group: FailureGroup
    message: str
    queue: str


class FailedScreen(msgspec.Struct, frozen=True):
    """Failed jobs, as groups or one by one.

    Attributes:
        form: What is filtered by.
        view: "groups" or "jobs".
        total: How many failed jobs the filter means; None when unknown.
        total_more: There are that many or more.
        groups: In the view "groups": the largest first, 50 at most.
        groups_more: There are more than these.
        jobs: In the view "jobs": some of them, newest first.
        next: The `after` of the next page, or its number; None at the end.
        page: The page's number where pages are counted; else None.
        searchable: The inspector can search and group; else there is one list, without a filter.
        queues: Labels that have failed jobs, to choose from, each with how many.
        acts: The viewer may retry and forget.
        problems: What could not be read, in words.
    """

    form: FilterForm
    view: str
    total: int | None
    total_more: bool
    groups: list[GroupRow]
    groups_more: bool
    jobs: list[FailedView]
    next: str | None
    page: int | None
    searchable: bool
    queues: dict[str, int]
    acts: bool
    problems: list[str]


class Confirmation(msgspec.Struct, frozen=True):
    """What would be done, before it is.

    Attributes:
        action: "retry", "forget" or "flush".
        form: Which failed jobs are meant.
        ids: The ids that were selected, if they were.
        count: How many jobs that is; None when unknown.
        count_more: There are that many or more.
        until: Failed before this instant: what fails later is not meant.
        problems: What could not be read, in words.
    """

    action: str
    form: FilterForm
    ids: tuple[str, ...]
    count: int | None
    count_more: bool
    until: datetime | None
    problems: list[str]


async def failed(ask: Ask) -> FailedScreen:
    """Make the screen of the failed jobs that the query's filter means.

    Raises:
        InvalidValue: A parameter is not what it may be.
    """
    look = ask.look
    form = FilterForm.parse(ask.args)
    page = ask.page()
    store = reads.failed_store(look)
    if store is None or page is not None:
        return await _numbered(ask, page or 1, store is not None)
    view = ask.one_of("view", "groups", "jobs")
    meant = form.meant()
    total, queues = await asyncio.gather(
        reads.failed_count(look, meant), look.read("the queues of failed jobs", None, store.queues, dict[str, int]())
    )
    rows: list[GroupRow] = []
    listed = FailedPage([], None)
    if view == "groups":
        rows = await _group_rows(ask, store, meant)
    else:
        after = ask.text("after") or None
        listed = await look.read(
            "the failed jobs", (meant, after), lambda: store.search(meant, after=after), FailedPage([], None)
        )
    return FailedScreen(
        form=form,
        view=view,
        total=total,
        total_more=total is not None and total >= COUNT_CAP,
        groups=rows[:PAGE_SIZE],
        groups_more=len(rows) > PAGE_SIZE,
        jobs=listed.jobs,
        next=listed.next,
        page=None,
        searchable=True,
        queues=queues,
        acts=ask.viewer.acts,
        problems=look.problems,
    )


async def _group_rows(ask: Ask, store: FailedJobs, meant: FailedFilter) -> list[GroupRow]:
    """Return the groups, each with what the newest of it says."""
    groups = await reads.groups(ask.look, meant) or []
    newest: dict[str, FailedView] = {}
    if groups:
        ids = tuple(sorted(group.example for group in groups))
        examples = await ask.look.read(
            "what the groups have in common",
            ids,
            lambda: store.search(FailedFilter(ids=ids), limit=len(ids)),
            FailedPage([], None),
            keep=10.0,
        )
        newest = {view.id: view for view in examples.jobs}
    return [
        GroupRow(
            group, _message(newest.get(group.example)), newest[group.example].queue if group.example in newest else ""
        )
        for group in groups
    ]


def _message(view: FailedView | None) -> str:
    return "" if view is None else view.error.removeprefix(view.kind).removeprefix(":").strip()


async def _numbered(ask: Ask, page: int, searchable: bool) -> FailedScreen:
    """Return one of the pages that are counted, as every inspector has them."""
    if ask.text("after") or (searchable and FilterForm.parse(ask.args).query):
        raise InvalidValue("page goes with no filter and no after: leave page out, or the others")
    jobs = await ask.look.read("the failed jobs", page, lambda: ask.look.reader.inspector.failed(page), list[JobView]())
    return FailedScreen(
        form=FilterForm(),
        view="jobs",
        total=None,
        total_more=False,
        groups=[],
        groups_more=False,
        jobs=[_failed_view(job) for job in jobs],
        next=str(page + 1) if len(jobs) == PAGE_SIZE else None,
        page=page,
        searchable=searchable,
        queues={},
        acts=ask.viewer.acts,
        problems=ask.look.problems,
    )


def _failed_view(job: JobView) -> FailedView:
    """Return the row of a failed job that an inspector of any kind gave."""
    error = job.error or ""
    kind, _, _ = error.partition(":")
    failed_at = job.failed_at or datetime.fromtimestamp(0, UTC)
    return FailedView(job.id, job.queue, job.name, kind, error, job.attempts, failed_at)


async def confirm(ask: Ask) -> Confirmation:
    """Make the screen that shows what an action on many failed jobs means.

    Raises:
        InvalidValue: A parameter is not what it may be, or nothing is selected.
        Refused: The viewer may not act.
    """
    if not ask.viewer.acts:
        raise Refused(403, "You may only look", "Your access to this dashboard is read-only.")
    action = ask.one_of("action", "retry", "forget", "flush")
    ids = checked_ids(ask.args)
    form = FilterForm() if action == "flush" or ids else FilterForm.parse(ask.args)
    if not ids and action != "flush" and ask.text("all") != "1":
        raise InvalidValue("no job is selected: tick the jobs that are meant, or choose all that match")
    store = reads.failed_store(ask.look)
    until = None
    if ids:
        count: int | None = len(ids)
        if store is not None:
            count = await reads.failed_count(ask.look, FailedFilter(ids=ids))
    else:
        until = None if action == "flush" else datetime.now(UTC)
        count = await reads.failed_count(ask.look, form.meant(until))
    return Confirmation(
        action=action,
        form=form,
        ids=ids,
        count=count,
        count_more=not ids and count is not None and count >= COUNT_CAP,
        until=until,
        problems=ask.look.problems,
    )
