from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

import lagoqueue_dashboard
from lagoqueue_dashboard.look.visible import visible
from tests.dashboard.documents import Document, parse
from tests.dashboard.gallery import EVIL, LONG, TOKEN, Gallery, shown

FOLDER = Path(lagoqueue_dashboard.__file__).parent
TEMPLATES = sorted((FOLDER / "templates/lagoqueue_dashboard").glob("*.html"))
EXAMPLES = shown()
FIELDS = {"input", "select", "textarea"}
SVG = {"svg", "title", "desc", "path", "line", "rect", "text"}


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    return Gallery()


async def page(gallery: Gallery, name: str) -> Document:
    document = parse(await gallery.page(name))
    assert not document.unclosed, document.unclosed
    return document


every_example = pytest.mark.parametrize("name", EXAMPLES)


def test_every_template_has_an_example() -> None:
    assert {path.stem for path in TEMPLATES} == {one.page for one in EXAMPLES.values()} | {"base", "ui"}


@every_example
async def test_a_page_says_what_it_is_in_one_heading_and_its_headings_are_in_order(gallery: Gallery, name: str) -> None:
    document = await page(gallery, name)
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    assert [attributes["lang"] for tag, attributes in document.elements if tag == "html"] == ["en"]
    assert [tag for tag, _ in document.elements].count("main") == 1


@every_example
async def test_nothing_is_inline(gallery: Gallery, name: str) -> None:
    document = await page(gallery, name)
    assert not document.comments
    for tag, attributes in document.elements:
        assert tag not in ("style", "iframe", "object", "embed", "base")
        assert not any(attribute == "style" or attribute.startswith("on") for attribute in attributes), (
            tag,
            attributes,
        )
        assert tag != "script" or attributes["src"].startswith("/admin/queues/static/")
    assert not any(re.match(r"\s*(javascript|data|vbscript):", url, re.IGNORECASE) for url in document.urls)


@every_example
async def test_every_address_is_below_the_mount(gallery: Gallery, name: str) -> None:
    document = await page(gallery, name)
    assert all(url == "#main" or url.startswith("/admin/queues/") for url in document.urls), document.urls


@every_example
async def test_texts_from_outside_make_no_elements(gallery: Gallery, name: str) -> None:
    document = await page(gallery, name)
    assert not [attributes for tag, attributes in document.elements if tag == "svg" and "onload" in attributes]
    assert "49" not in re.findall(r"onload=alert\(1\)>(\d*)", document.text)
    assert "\u202e" not in document.text
    seen = [*document.values, document.text]
    if name.endswith("-evil"):
        assert any(visible(EVIL) in text for text in seen)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name.endswith("-evil")])
async def test_texts_from_outside_are_shown_whole(gallery: Gallery, name: str) -> None:
    document = await page(gallery, name)
    assert visible(EVIL) in document.text
    assert LONG in "".join([document.text, *document.values])


@every_example
async def test_every_form_that_changes_something_has_one_token(gallery: Gallery, name: str) -> None:
    html = await gallery.page(name)
    forms = re.findall(r"<form\b([^>]*)>(.*?)</form>", html, re.DOTALL)
    posts = [content for attributes, content in forms if 'method="post"' in attributes]
    assert html.count("<form") == len(forms)  # none is inside another
    assert posts
    assert [content.count(f'name="csrf_token" value="{TOKEN}"') for content in posts] == [1] * len(posts)
    assert html.count(TOKEN) == len(posts)  # and it is nowhere else


@every_example
async def test_every_field_has_a_label_and_every_reference_its_element(gallery: Gallery, name: str) -> None:
    html = await gallery.page(name)
    document = parse(html)
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids)), ids
    labelled = {attributes["for"] for tag, attributes in document.elements if tag == "label" and "for" in attributes}
    wrapped = "".join(re.findall(r"<label\b.*?</label>", html, re.DOTALL))
    for tag, attributes in document.elements:
        for reference in ("form", "for", "data-copy", "aria-labelledby"):
            assert set(attributes.get(reference, "").split()) <= {*ids}, (tag, attributes)
        if tag in FIELDS and attributes.get("type") != "hidden":
            mark = f'id="{attributes["id"]}"' if "id" in attributes else f'value="{attributes["value"]}"'
            assert attributes.get("id") in labelled or mark in wrapped, attributes
    for tag, attributes in document.elements:
        if tag == "svg" and attributes.get("role") == "img":
            assert "aria-labelledby" in attributes or "spark" in attributes["class"]
        if attributes.get("role") == "region" or tag == "nav":
            assert attributes.get("aria-label") or attributes.get("aria-labelledby")


@every_example
async def test_the_parts_are_those_that_the_page_has(gallery: Gallery, name: str) -> None:
    document = await page(gallery, name)
    places = {attributes["data-part"] for _, attributes in document.elements if "data-part" in attributes}
    parts = await gallery.parts(name)
    assert places <= parts.keys()
    for part in parts.values():
        assert not parse(part).unclosed


async def test_who_may_only_look_is_offered_nothing_else(gallery: Gallery) -> None:
    for name in ("failed-looks-only", "failed_job-looks-only"):
        document = await page(gallery, name)
        assert not [url for url in document.urls if re.search(r"retry|forget|flush|confirm", url)]
        assert "who may look and change nothing" in document.text


async def test_ids_that_no_path_can_hold_go_as_a_field(gallery: Gallery) -> None:
    document = await page(gallery, "failed-evil")
    retries = [attributes for tag, attributes in document.elements if tag == "button" and "formaction" in attributes]
    assert [(attributes["formaction"], attributes["name"], attributes["value"]) for attributes in retries] == [
        ("/admin/queues/failed/retry", "ids", ".."),
        ("/admin/queues/failed/retry", "ids", "a/b%0D%0Ac"),
    ]
    usual = await page(gallery, "failed-jobs")
    assert "/admin/queues/failed/019362f0-7a1c-7c31-9b1e-000000000000/retry" in usual.urls


async def test_a_filter_can_be_taken_away_alone(gallery: Gallery) -> None:
    document = await page(gallery, "failed-jobs")
    links = {
        attributes["aria-label"]: attributes["href"]
        for tag, attributes in document.elements
        if tag == "a" and attributes.get("aria-label", "").startswith("Remove the filter")
    }
    assert len(links) == 4
    without = links["Remove the filter: kind SyntaxError"]
    assert "kind=" not in without
    assert all(part in without for part in ("queue=default", "text=badsyntax", "within=day", "view=jobs"))


async def test_an_action_on_many_is_confirmed_with_its_number(gallery: Gallery) -> None:
    document = await page(gallery, "confirm-retry")
    assert "Retry 10,000+ failed jobs?" in document.text
    assert document.inputs("all") == ["1"]
    assert document.inputs("kind") == ["SMTPServerDisconnected"]
    assert len(document.inputs("until")) == 1
    selected = await page(gallery, "confirm-forget")
    assert "Forget 17 failed jobs?" in selected.text
    assert "This cannot be undone." in selected.text
    assert selected.inputs("ids")[0] == "a/b%0D%0Ac"
    assert len(selected.inputs("ids")) == 17
    assert selected.inputs("all") == []
    assert "/admin/queues/failed?view=jobs&queue=default" in selected.urls
    assert "/admin/queues/failed/flush" in (await page(gallery, "confirm-flush")).urls
    assert not [url for url in (await page(gallery, "confirm-none")).urls if url.endswith("/failed/retry")]


async def test_what_goes_on_says_how_far_it_is(gallery: Gallery) -> None:
    document = await page(gallery, "progress")
    assert "12,000 jobs retried so far" in document.text
    assert [document.inputs(name) for name in ("after", "done", "skipped", "all")] == [
        ["cursor"],
        ["12000"],
        ["3"],
        ["1"],
    ]
    assert any("data-continue" in attributes for tag, attributes in document.elements if tag == "form")


async def test_what_goes_on_returns_to_the_list_that_one_came_from(gallery: Gallery) -> None:
    document = await page(gallery, "progress")
    assert document.inputs("back") == ["view=groups&queue=default"]
    assert "/admin/queues/failed?view=groups&queue=default" in document.urls


async def test_flushing_goes_on_as_flushing(gallery: Gallery) -> None:
    assert "/admin/queues/failed/flush" in (await page(gallery, "progress-flush")).urls


@pytest.mark.parametrize("name", ["failed", "failed-jobs"])
async def test_each_link_that_asks_to_confirm_knows_the_list(gallery: Gallery, name: str) -> None:
    document = await page(gallery, name)
    form = EXAMPLES[name].screen.form.query | {"view": EXAMPLES[name].screen.view}
    asking = [parse_qs(urlsplit(url).query) for url in document.urls if "/confirm?" in url]
    assert len(asking) > 4
    assert all(dict(parse_qsl(query["back"][0])) == form for query in asking)


async def test_more_groups_than_are_shown_are_told(gallery: Gallery) -> None:
    document = await page(gallery, "failed-many-groups")
    assert "50+ reasons" in document.text
    assert "These are the 50 largest." in document.text
    assert "largest" not in (await page(gallery, "failed")).text
    assert "50+ reasons" in (await page(gallery, "overview-evil")).text


async def test_a_worker_that_is_late_is_marked(gallery: Gallery) -> None:
    html = await gallery.page("workers")
    assert re.findall(r'<span class="(\w*)">last heard', html) == ["", "warn", "bad"]


async def test_the_title_of_a_tab_stays_true(gallery: Gallery) -> None:
    """A page that is not seen is not refreshed, so its title must not say how things stand."""
    titles = {
        re.findall("<title>(.*?)</title>", await gallery.page(name))[0] for name in ("overview", "overview-plain")
    }
    assert titles == {"Overview · lagoqueue production"}


async def test_what_an_inspector_does_not_tell_has_no_column(gallery: Gallery) -> None:
    plain, whole = await page(gallery, "overview-plain"), await page(gallery, "overview")
    for word in ("Running", "Delayed", "Oldest", "Run time", "Time waited", "Last hour"):
        assert word in whole.text
        assert word not in plain.text


async def test_a_row_of_the_table_has_a_cell_for_each_column(gallery: Gallery) -> None:
    for name in ("overview", "overview-plain", "overview-evil", "queue", "queue-running", "queue-evil"):
        (table,) = re.findall(r"<table.*?</table>", await gallery.page(name), re.DOTALL)
        head, body = table.split("<tbody>")
        first = parse(head.split("</tr>")[0]).elements
        columns = sum(int(attributes.get("colspan", 1)) for tag, attributes in first if tag == "th")
        for row in body.split("</tr>")[:-1]:
            assert sum(tag in ("th", "td") for tag, _ in parse(row).elements) == columns, name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("overview-empty", "await dispatch("),
        ("workers-none", "lagoqueue worker shop.jobs:worker"),
        ("workers-unknown", "cannot see workers"),
        ("failed-none", "Nothing has failed."),
        ("failed-no-match", "Nothing matches these filters."),
        ("queue-empty", "Nothing waits in this queue."),
        ("charts-none", "No history is recorded."),
        ("health-none", "There is nothing to check."),
        ("confirm-none", "No failed job is meant any more"),
    ],
)
async def test_an_empty_page_says_what_to_do(gallery: Gallery, name: str, hint: str) -> None:
    assert hint in (await page(gallery, name)).text


async def test_old_figures_are_marked(gallery: Gallery) -> None:
    assert "not updated since" in (await page(gallery, "overview-evil")).text
    assert "not updated since" not in (await page(gallery, "overview")).text


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_no_template_turns_escaping_off(path: Path) -> None:
    assert not re.search(r"\|\s*safe|autoescape|Markup|style=|<style|\bon\w+=", path.read_text("utf-8"))


def test_the_script_is_small_and_runs_no_text() -> None:
    script = (FOLDER / "static/dashboard.js").read_text("utf-8")
    assert len(script.encode()) <= 6 * 1024
    assert not re.search(r"\beval\b|new Function|document\.write|insertAdjacentHTML|outerHTML", script)
    assert script.count("innerHTML") == 1


# --- Contrast, as WCAG 2.2 counts it --------------------------------------------------------------------

STYLES = (FOLDER / "static/dashboard.css").read_text("utf-8")
COLOURS = dict(re.findall(r"--([\w-]+): light-dark\(([^)]+)\)", STYLES))
TEXTS = [
    *((ink, ground) for ink in ("ink", "soft", "accent", "bad", "warn") for ground in ("bg", "panel", "sunk")),
    *(("on-accent", "accent"), ("on-bad", "bad")),
    *((ink, f"{wash}-wash on panel") for ink, wash in (("accent", "accent"), ("ink", "accent"), ("soft", "accent"), ("bad", "bad"))),
    *(("soft", "accent-wash on bg"), ("bad", "bad-wash on sunk")),
]  # fmt: skip


def colour(name: str, scheme: int) -> tuple[float, ...]:
    """Return red, green and blue from 0 to 1; "a on b" is a, which lets b shine through."""
    top, _, below = name.partition(" on ")
    digits = COLOURS[top].split(",")[scheme].strip().removeprefix("#")
    if len(digits) < 6:
        digits = "".join(digit * 2 for digit in digits)
    channels = [int(digits[i : i + 2], 16) / 255 for i in range(0, len(digits), 2)]
    if len(channels) == 3:
        return tuple(channels)
    *over, share = channels
    return tuple(share * a + (1 - share) * b for a, b in zip(over, colour(below, scheme), strict=True))


def contrast(one: str, other: str, scheme: int) -> float:
    def light(name: str) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour(name, scheme)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05

    high, low = sorted((light(one), light(other)), reverse=True)
    return high / low


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_have_the_contrast_of_wcag_aa(scheme: int) -> None:
    weak = {pair: round(contrast(*pair, scheme), 2) for pair in TEXTS if contrast(*pair, scheme) < 4.5}
    assert not weak


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_edges_of_fields_and_lines_of_charts_have_the_contrast_of_wcag_aa(scheme: int) -> None:
    pairs = [
        ("edge", "panel"),
        ("edge", "bg"),
        ("accent", "panel"),
        ("bad", "panel"),
        ("warn", "panel"),
        ("accent", "bg"),
    ]
    weak = {pair: round(contrast(*pair, scheme), 2) for pair in pairs if contrast(*pair, scheme) < 3}
    assert not weak
