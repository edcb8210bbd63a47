"""The environment of the templates: what an application may replace, and what it does not reach."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
from quart import Quart

from lagoqueue_dashboard import dashboard
from lagoqueue_dashboard.look.visible import visible
from lagoqueue_dashboard.rendering import FOLDER, PART, make_environment, render_parts
from tests.dashboard.visits import SECRET, Visitor, by_header, served
from tests.dashboard.worlds import World


def application(world: World, folder: Path) -> Quart:
    app = Quart(__name__, root_path=str(folder))
    app.register_blueprint(dashboard(world.inspector, authorize=by_header, secret=SECRET), url_prefix="/admin")
    return app


async def test_an_application_may_have_a_template_of_its_own(world: World, tmp_path: Path) -> None:
    own = tmp_path / "templates" / FOLDER
    own.mkdir(parents=True)
    (own / "health.html").write_text(
        '{% extends "lagoqueue_dashboard/base.html" %}{% block main %}<p>Ours: {{ screen.headline }}</p>{% endblock %}'
    )
    (tmp_path / "templates" / "overview.html").write_text("not the dashboard's")
    async with Visitor(application(world, tmp_path)) as visitor:
        assert "Ours: There is nothing to check" in (await visitor.page("/health")).text
        assert "No jobs yet" in (await visitor.page("/")).text


async def test_an_applications_settings_do_not_reach_the_pages(world: World, tmp_path: Path) -> None:
    app = application(world, tmp_path)
    app.jinja_env.autoescape = False
    app.jinja_env.filters["count"] = lambda value: "<b>"
    app.jinja_env.globals["url"] = lambda *args, **options: "//evil.example"
    app.context_processor(lambda: {"screen": None, "title": "<b>"})
    await world.fail("<i>f1</i>")
    async with Visitor(app) as visitor:
        page = await visitor.page("/failed", view="jobs")
    assert "<i>f1</i>" in page.text
    assert not any("evil" in url for url in page.urls)


def test_a_name_that_is_missing_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        make_environment(str).from_string("{{ nothing }}").render()


def test_text_from_outside_is_made_visible_but_markup_is_not_touched() -> None:
    environment = make_environment(str)
    render: Any = environment.from_string("{{ a }}|{{ a|verbatim }}|{{ a|quoted }}").render
    assert render(a="\u202e<") == "\\u202e&lt;|\u202e&lt;|%E2%80%AE&lt;"
    assert render(a="a\r\nb") == "a\\x0d\nb|a\r\nb|a%0D%0Ab"


@pytest.mark.parametrize(
    "hidden", ["\0", "\x1b", "\x7f", "\x85", "\xad", "\u200b", "\u200e", "\u202e", "\u2066", "\ufeff", "\ud800"]
)
def test_what_would_vanish_is_shown(hidden: str) -> None:
    assert re.fullmatch(r"a\\(x[0-9a-f]{2}|u[0-9a-f]{4})b", visible(f"a{hidden}b"))


@pytest.mark.parametrize("text", ["", "plain", "tab\tand\nnewline", "ünï", "e\u0301", "日本語", "👩\u200d💻", "عربي"])
def test_what_is_written_in_other_scripts_stays(text: str) -> None:
    assert visible(text) == text


async def test_the_parts_that_are_refreshed_are_those_that_the_page_has(world: World) -> None:
    await world.fail("f1")
    async with Visitor(served(world.inspector)) as visitor:
        for path in ("/", "/failed", "/workers", "/charts", "/health"):
            marked = [each["data-part"] for _, each in (await visitor.page(path)).elements if "data-part" in each]
            live = await visitor.json(f"/api/live/{path.strip('/') or 'overview'}")
            assert len(marked) == len(set(marked))
            assert set(marked) == set(live["parts"]), path


async def test_a_part_is_what_stands_in_the_page(world: World) -> None:
    await world.fail("f1", "f2")
    async with Visitor(served(world.inspector)) as visitor:
        page = (await visitor.get("/failed", view="jobs")).text
        live = await visitor.json("/api/live/failed", view="jobs")
    settled = re.compile(r"<time.*?</time>", re.DOTALL)
    for name, html in live["parts"].items():
        assert settled.sub("", html).strip() in settled.sub("", page), name


def test_only_parts_are_rendered_as_parts() -> None:
    assert PART == "part_"
    environment = make_environment(str)
    environment.loader = jinja2.DictLoader(
        {
            f"{FOLDER}/base.html": "{% block part_top %}{{ x }}{% endblock %}{% block rest %}no{% endblock %}",
            f"{FOLDER}/page.html": '{% extends "lagoqueue_dashboard/base.html" %}{% block part_low %}<{{ x }}>{% endblock %}',
        }
    )
    environment.cache = None
    assert render_parts(environment, "page", {"x": "&"}) == {"top": "&amp;", "low": "<&amp;>"}
