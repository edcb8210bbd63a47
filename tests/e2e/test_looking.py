"""Looking: the overview, a queue's jobs, failed jobs found and opened, with and without JavaScript."""

from __future__ import annotations

import re

from tests.e2e.shop import FAILED, FULL, ImportFile, PackParcel, SendWelcomeEmail, Shop
from tests.e2e.windows import Page, Windows, expect


async def test_an_empty_shop_says_what_to_do(either: Page) -> None:
    await either.goto(FULL)
    await expect(either.get_by_role("heading", level=1)).to_have_text("No jobs yet")
    await expect(either.get_by_text("No queue yet.")).to_be_visible()


async def test_the_overview_leads_to_a_queue_and_from_there_to_its_jobs_by_state(either: Page, shop: Shop) -> None:
    async with shop.working():
        await shop.dispatch(*[PackParcel(number) for number in range(4)])
        await shop.until_running(4)
        await shop.dispatch(PackParcel(5))
        await shop.dispatch(PackParcel(6), PackParcel(7), delay=3600)
        await either.goto(FULL)
        await either.get_by_role("table").get_by_role("link", name="default").click()
        jobs = either.get_by_role("region", name="Jobs").get_by_role("row")
        states = either.get_by_role("navigation", name="Jobs by state")
        await expect(jobs).to_have_count(1 + 1)
        await states.get_by_role("link", name="Delayed").click()
        await expect(jobs).to_have_count(1 + 2)
        await states.get_by_role("link", name="Running").click()
        await expect(jobs).to_have_count(1 + 4)
        await jobs.nth(1).get_by_role("link", name="PackParcel").click()
        await expect(either.get_by_role("heading", level=1)).to_have_text("PackParcel is running")
        await expect(either.locator(".tree")).to_contain_text("order")


async def test_workers_are_shown_with_what_they_run(either: Page, shop: Shop) -> None:
    async with shop.working():
        await shop.dispatch(PackParcel(1))
        await shop.until_running(1)
        await either.goto("/queues/workers")
        await expect(either.get_by_role("heading", level=1)).to_have_text("1 worker, 1 of 4 slots busy")
        await either.get_by_role("link", name="PackParcel").click()
        await expect(either.get_by_role("heading", level=1)).to_have_text("PackParcel is running")


async def test_failed_jobs_are_found_by_queue_name_and_text_and_the_filters_are_taken_away_again(
    either: Page, shop: Shop
) -> None:
    await shop.fail(
        *[SendWelcomeEmail(f"{name}@example.org") for name in "abc"], ImportFile("price = 1x"), ImportFile("if")
    )
    await either.goto(FAILED)
    heading = either.get_by_role("heading", level=1)
    search = either.get_by_role("search")
    await expect(heading).to_have_text("5 failed jobs, 2 reasons")
    await search.get_by_label("Queue").select_option("emails")
    await search.get_by_role("button", name="Search").click()
    await expect(heading).to_have_text("3 failed jobs match, 1 reason")
    await either.get_by_role("link", name="Remove the filter: queue emails").click()
    await search.get_by_label("Job name").fill("ImportFile")
    await search.get_by_role("button", name="Search").click()
    await expect(heading).to_have_text("2 failed jobs match, 1 reason")
    await search.get_by_label("Error contains").fill("decimal literal")
    await search.get_by_role("button", name="Search").click()
    await expect(heading).to_have_text("1 failed job matches, 1 reason")
    await either.get_by_role("link", name="One by one").click()
    await expect(heading).to_have_text("1 failed job matches")
    rows = either.get_by_role("region", name="Failed jobs").get_by_role("listitem")
    await expect(rows.filter(has_text="ImportFile")).to_have_count(1)
    await search.get_by_label("Error contains").fill("nothing says this")
    await search.get_by_role("button", name="Search").click()
    await expect(heading).to_have_text("No failed job matches")
    await either.get_by_role("link", name="Remove them").click()
    await expect(heading).to_have_text("5 failed jobs")


async def test_a_group_leads_to_its_jobs_and_those_to_all_there_is_to_know(either: Page, shop: Shop) -> None:
    await shop.fail(ImportFile("price = 1x"), headers={"trace": "0af7"})
    await shop.fail(SendWelcomeEmail("a@example.org"))
    await either.goto(FAILED)
    await either.get_by_role("link", name="SyntaxError invalid decimal literal").click()
    await either.get_by_role("link", name="ImportFile SyntaxError").click()
    await expect(either.get_by_role("heading", level=1)).to_contain_text("ImportFile failed")
    await expect(either.locator("pre.trace")).to_contain_text("SyntaxError: invalid decimal literal")
    await expect(either.locator(".tree")).to_contain_text("price = 1x")
    for term, text in (("Queue", "default"), ("Attempts", "1"), ("trace", "0af7")):
        await expect(either.locator("dt", has_text=re.compile(f"^{term}$")).locator("+ dd")).to_have_text(text)


async def test_what_is_no_page_says_where_to_go(either: Page, windows: Windows) -> None:
    windows.expect("status of 404")
    response = await either.goto("/queues/failed/job?id=nothing-like-it")
    assert response is not None
    assert response.status == 404
    await either.get_by_role("link", name="Go to the overview").click()
    await expect(either.get_by_role("heading", level=1)).to_have_text("No jobs yet")
