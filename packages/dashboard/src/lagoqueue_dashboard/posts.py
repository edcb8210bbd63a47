"""`Posts`: answers what changes something; each ends on a page that says what was done."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import parse_qsl

import msgspec
from quart import Response, redirect, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as WerkzeugResponse

from lagoqueue.errors import InvalidValue
from lagoqueue_dashboard import flash, theme
from lagoqueue_dashboard.actions import Actions, Done, Many
from lagoqueue_dashboard.asking import checked_id, checked_ids
from lagoqueue_dashboard.filters import FilterForm
from lagoqueue_dashboard.guarding.access import Access, Viewer
from lagoqueue_dashboard.guarding.guard import mount, viewer
from lagoqueue_dashboard.pages import PAGES
from lagoqueue_dashboard.rendering import url
from lagoqueue_dashboard.views import Views

_MOST_DONE = 10**12
_MOST_FIELDS = 20


class Progress(msgspec.Struct, frozen=True):
    """How far an action on many jobs is.

    Attributes:
        action: "retry", "forget" or "flush".
        done, skipped: Jobs so far.
        form: Which failed jobs are meant.
        until: Failed before this instant.
        after: Where it goes on.
        back: The query of the list that the viewer came from.
    """

    action: str
    done: int
    skipped: int
    form: FilterForm
    until: datetime | None
    after: str
    back: str


class Posts:
    """Reads forms, acts, and sends the viewer on.

    Args:
        actions: Acts.
        views: Shows what is not done yet.
    """

    def __init__(self, actions: Actions, views: Views) -> None:
        self._actions = actions
        self._views = views

    async def one(self, action: Many, id: str) -> WerkzeugResponse | Response:
        """Retry or drop the failed job in the path."""
        form = await request.form
        return self._done(form, action, await self._actions.one(action, checked_id(id), _who()))

    async def many(self, action: Many) -> WerkzeugResponse | Response:
        """Retry or drop the failed jobs that are selected, or all that a filter means."""
        form = await request.form
        ids = checked_ids(form)
        if ids:
            return self._done(form, action, await self._actions.selected(action, ids, _who()))
        if form.get("all") != "1":
            raise InvalidValue("no job is selected: tick the jobs that are meant, or choose all that match")
        before, meant, until = _before(form), FilterForm.parse(form), _instant(form.get("until", ""))
        done = await self._actions.matching(action, meant.meant(until), form.get("after") or None, _who())
        return self._turned(form, action, before, done, meant, until)

    async def flush(self) -> WerkzeugResponse | Response:
        """Drop every failed job."""
        form = await request.form
        before = _before(form)
        done = await self._actions.flush(form.get("after") or None, _who())
        return self._turned(form, "flush", before, done, FilterForm(), None)

    async def theme(self) -> WerkzeugResponse | Response:
        """Remember a theme, and show the same page in it."""
        form = await request.form
        given = _query(form.get("query", ""))
        takes = {page.name: page.takes for page in PAGES}
        page = form.get("page", "")
        if page in takes:
            response = redirect(url(page, **{name: given.get(name) for name in takes[page]}), 303)
        else:
            response = redirect(url("overview"), 303)
        theme.choose(response, form.get("theme", ""))
        return response

    def _turned(
        self,
        form: MultiDict[str, str],
        action: str,
        before: Done,
        done: Done,
        meant: FilterForm,
        until: datetime | None,
    ) -> WerkzeugResponse | Response:
        """Answer with how far an action is that is done in turns, or as when it is done."""
        total = Done(before.done + done.done, before.skipped + done.skipped)
        if done.next is None:
            return self._done(form, action, total)
        back = form.get("back", "")
        return self._views.progress(Progress(action, total.done, total.skipped, meant, until, done.next, back))

    def _done(self, form: MultiDict[str, str], action: str, done: Done) -> WerkzeugResponse:
        """Send the viewer to the list that they came from, which says what was done."""
        back = _query(form.get("back", ""))
        try:
            query = FilterForm.parse(back).query
        except InvalidValue:
            back, query = {}, {}
        view = back.get("view", "")
        response = redirect(url("failed", view=view if view in ("groups", "jobs") else None, **query), 303)
        flash.leave(response, mount(), request.is_secure, action, done)
        return response


def _who() -> Viewer:
    return viewer() or Viewer(Access.NONE)


def _query(text: str) -> dict[str, str]:
    """Return the parameters of a query that a form has carried along; none of one that no page has made."""
    try:
        return dict(parse_qsl(text, max_num_fields=_MOST_FIELDS))
    except ValueError:
        return {}


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.utcoffset() is None:
        raise InvalidValue(f"until must be an instant with its time zone, not {text[:50]!r}")
    return found


def _before(form: MultiDict[str, str]) -> Done:
    """Return what the turns before this one have done."""
    return Done(_number(form, "done"), _number(form, "skipped"))


def _number(form: MultiDict[str, str], name: str) -> int:
    text = form.get(name, "") or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_MOST_DONE)) and int(text) <= _MOST_DONE):
        raise InvalidValue(f"{name} must be a whole number, not {text[:50]!r}")
    return int(text)
