"""Follows every link of a dashboard as a browser would, and tells where each leads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urldefrag, urljoin, urlsplit

import httpx

_LINKS = {"href", "src", "data-live"}
_ALIKE = 12


@dataclass
class Form:
    """A form, with every address that it can be sent to."""

    method: str
    actions: list[str]
    fields: dict[str, str] = field(default_factory=dict)


class Page(HTMLParser):
    """What a page leads to: addresses to get, and forms."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._by_id: dict[str, Form] = {}
        self._elsewhere: list[tuple[str, dict[str, str]]] = []  # belongs to a form that may come later
        self._open: Form | None = None
        self.feed(text)
        for name, values in self._elsewhere:
            self._add(self._by_id[name], values)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.links += [values[name] for name in _LINKS & values.keys()]
        if tag == "form":
            self._open = Form(values.get("method", "get").lower(), [values["action"]])
            self.forms.append(self._open)
            self._by_id[values.get("id", "")] = self._open
        elif tag in {"input", "button", "select"}:
            if "form" in values:
                self._elsewhere.append((values["form"], values))
            elif self._open is not None:
                self._add(self._open, values)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None

    @staticmethod
    def _add(form: Form, values: dict[str, str]) -> None:
        if "formaction" in values:
            form.actions.append(values["formaction"])
        elif values.get("type") == "hidden":
            form.fields[values["name"]] = values["value"]


@dataclass
class Crawl:
    """What was found.

    Attributes:
        statuses: Of each address that a page leads to.
        pages: Their text.
        asks: Where forms lead that only look.
        posts: Where forms lead that change something, with the fields that they bring.
    """

    statuses: dict[str, int] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    asks: set[str] = field(default_factory=set)
    posts: dict[str, dict[str, str]] = field(default_factory=dict)


async def crawl(client: httpx.AsyncClient, starts: Iterable[str], *, most: int = 400) -> Crawl:
    """Open these addresses and all that they lead to; forms that post are noted and not sent.

    Of addresses with more than one parameter, as those of filters, one of each combination stands for all.

    Args:
        client: Follows no redirects; its `base_url` is the site.
        starts: Paths to begin with.
        most: Addresses to open at most, so that a page that leads to ever new ones ends.
    """
    found = Crawl()
    waiting = [urljoin(str(client.base_url), start) for start in starts]
    alike: Counter[tuple[str, ...]] = Counter()
    while waiting:
        url = waiting.pop(0)
        names = sorted({name for name, _ in parse_qsl(urlsplit(url).query)})
        if url in found.statuses or alike[urlsplit(url).path, *names] >= (_ALIKE if len(names) < 2 else 1):
            continue
        alike[urlsplit(url).path, *names] += 1
        assert len(found.statuses) < most, f"{len(waiting)} more wait, such as {waiting[:3]}"
        answer = await client.get(url)
        found.statuses[url] = answer.status_code
        if answer.is_redirect:
            waiting.append(urljoin(url, answer.headers["Location"]))
        elif answer.headers.get("Content-Type", "").startswith("text/html"):
            found.pages[url] = answer.text
            page = Page(answer.text)
            waiting += [urldefrag(urljoin(url, link))[0] for link in page.links if not link.startswith("data:")]
            for form in page.forms:
                targets = [urljoin(url, action) for action in form.actions]
                if form.method == "post":
                    found.posts |= dict.fromkeys(targets, form.fields)
                else:
                    found.asks |= {*targets}
    return found


def paths(urls: Iterable[str]) -> set[str]:
    """Return the paths of some URLs."""
    return {urlsplit(url).path for url in urls}
