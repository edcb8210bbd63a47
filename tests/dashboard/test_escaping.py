"""Text from outside stays text, on pages, in their live parts and in JSON."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest

import lagoqueue_dashboard
from lagoqueue_dashboard.look.visible import visible
from lagoqueue_dashboard.rendering import make_environment
from tests.dashboard import worlds
from tests.dashboard.documents import Document, parse
from tests.dashboard.hostile import TEXTS, Hostile
from tests.dashboard.visits import MOUNT, Visitor, served
from tests.dashboard.worlds import Plain, World

pytestmark = pytest.mark.security

TEMPLATES = sorted((Path(lagoqueue_dashboard.__file__).parent / "templates" / "lagoqueue_dashboard").glob("*.html"))


async def shown(text: str, world: World) -> tuple[dict[str, Document], dict[str, Any]]:
    """Return all pages and live parts that have the text in them, and all JSON."""
    hostile = Hostile(world, text)
    app = served(await hostile.inspector(), title=text, environment=text)
    pages: dict[str, Document] = {}
    twins: dict[str, Any] = {}
    async with Visitor(app, name="ada") as visitor:
        for number, (path, query) in enumerate(hostile.pages + hostile.refusals):
            refused = number >= len(hostile.pages)
            twin = "/api/overview" if path == "/" else f"/api{path}"
            answer = await visitor.get(path, **query)
            assert (answer.status_code in (400, 404)) == refused, (path, query)
            pages[f"{number} {path}"] = parse(answer.text)
            twins[f"{number} {path}"] = await visitor.json(twin, answer.status_code, **query)
            name = path.strip("/") or "overview"
            if not refused and path in ("/", "/queue", "/failed", "/workers", "/charts", "/health"):
                live = await visitor.json(f"/api/live/{name}", **query)
                pages |= {f"{number} {path} {part}": parse(html) for part, html in live["parts"].items()}
    return pages, twins


@pytest.fixture(scope="module")
def harmless() -> set[tuple[str, str]]:
    """Every element and attribute that the pages have when no text tries anything."""

    async def kinds() -> set[tuple[str, str]]:
        async with worlds.memory() as world:
            pages, _ = await shown("harmless", world)
        return set().union(*(page.kinds for page in pages.values()))

    return asyncio.run(kinds())


@pytest.mark.parametrize("text", TEXTS)
async def test_no_text_becomes_an_element_or_an_attribute(
    text: str, world: World, harmless: set[tuple[str, str]]
) -> None:
    pages, twins = await shown(text, world)
    for name, page in pages.items():
        assert page.kinds <= harmless, name
        assert page.unclosed == [], name
        assert page.comments == [], name
        assert all(url.startswith((f"{MOUNT}/", "#")) for url in page.urls), name
    seen = " ".join(page.text for page in pages.values())
    for prefix in ("Q", "J", "K", "H", "N", "F", "R", "w ", "f "):
        assert prefix + visible(text) in seen, prefix
    job = next(twin for name, twin in twins.items() if name.endswith("/failed/job"))
    assert (job["view"]["name"], job["headers"]) == (f"J{text}", {text: text})
    assert text in job["traceback"]
    assert job["payload"]["tree"]["children"][0]["key"] == text
    (worker,) = next(twin for name, twin in twins.items() if name.endswith("/workers"))["workers"]
    assert worker["host"] == f"H{text}"


@pytest.mark.parametrize("text", TEXTS[::4])
async def test_a_plain_inspectors_texts(text: str, world: World, harmless: set[tuple[str, str]]) -> None:
    await Hostile(world, text).inspector()
    async with Visitor(served(Plain(world.inspector))) as visitor:
        for page in (await visitor.page("/failed"), await visitor.page("/queue", name=f"Q{text}")):
            assert page.kinds <= harmless
            assert visible(text) in page.text


async def test_only_parameters_of_a_page_get_into_its_links(world: World) -> None:
    await world.fail("f1")
    strange = dict.fromkeys(
        ("_external", "_scheme", "_anchor", "_method", "endpoint", "screen", "self", "filename", "x"), "strange"
    ) | {"values": "strange", "action": "strange", "csrf_token": "strange"}
    async with Visitor(served(world.inspector)) as visitor:
        for path in ("/", "/failed", "/workers", "/charts", "/health", "/failed/job?id=f1"):
            for query in (strange, {**strange, "page": "1"} if path == "/failed" else strange):
                answer = await visitor.client.get(MOUNT + path, params={**dict(_pairs(path)), **query})
                assert answer.status_code == 200
                assert not any("strange" in value for value in parse(answer.text).values), path


def _pairs(path: str) -> list[tuple[str, str]]:
    return [("id", "f1")] if "?" in path else []


# --- The templates themselves -------------------------------------------------------------------------


def test_every_template_is_escaped() -> None:
    environment = make_environment(lambda name: name)
    assert environment.autoescape is True
    assert environment.undefined is jinja2.StrictUndefined
    assert len(TEMPLATES) >= 13
    for template in TEMPLATES:
        assert environment.get_template(f"lagoqueue_dashboard/{template.name}").environment.autoescape is True


@pytest.mark.parametrize(
    "forbidden",
    [
        r"\|\s*safe\b",
        r"\bMarkup\b",
        r"autoescape",
        r"""(?i)[\s"']on[a-z]+\s*=""",
        r"""(?i)[\s"']style\s*=""",
        r"(?i)<style\b",
        r"(?i)<script(?![^>]*\bsrc=)",
        r"(?i)javascript:",
        r"""(?i)\s(?:href|src|action|formaction)="(?!(?:\{\{ (?:url|asset|live)|\{% if |#))""",
        r"""\s[a-z-]+=\{\{""",
        r"""(?i)<(?:iframe|object|embed|base|template)\b""",
    ],
)
def test_no_template_has(forbidden: str) -> None:
    for template in TEMPLATES:
        found = re.search(forbidden, template.read_text())
        assert found is None, (template.name, found)


def test_no_module_declares_text_to_be_safe() -> None:
    for file in Path(lagoqueue_dashboard.__file__).parent.rglob("*.py"):
        assert "Markup(" not in file.read_text(), file.name
