"""Acting on failed jobs, with and without JavaScript: each does what it says, once, and says what it did."""

from __future__ import annotations

import pytest

from tests.e2e.shop import FAILED, READERS, ImportFile, SendWelcomeEmail, Shop
from tests.e2e.windows import Locator, Page, Windows, expect

JOBS = f"{FAILED}?view=jobs"

PEOPLE = [SendWelcomeEmail(f"{name}@example.org") for name in ("ann", "bob", "cy")]


def row(page: Page, text: str) -> Locator:
    return page.get_by_role("main").get_by_role("listitem").filter(has_text=text)


async def test_a_retried_job_runs_again_and_succeeds(either: Page, shop: Shop) -> None:
    await shop.fail(SendWelcomeEmail("ann@example.org"))
    await either.goto(JOBS)
    await row(either, "SendWelcomeEmail").get_by_role("link", name="SendWelcomeEmail").click()
    await either.get_by_role("button", name="Retry").click()
    await expect(either.get_by_role("status")).to_have_text("1 job was put back in the queue.")
    await expect(either.get_by_role("heading", level=1)).to_have_text("No failed jobs")
    shop.mail_works = True
    await shop.work()
    assert shop.sent == ["ann@example.org"]
    assert await shop.failed() == 0


async def test_a_job_that_fails_again_comes_back(either: Page, shop: Shop) -> None:
    await shop.fail(SendWelcomeEmail("ann@example.org"))
    await either.goto(JOBS)
    await row(either, "SendWelcomeEmail").get_by_role("button", name="Retry").click()
    await expect(either.get_by_role("status")).to_be_visible()
    await shop.work()
    assert await shop.failed() == 1


async def test_the_selected_jobs_are_retried_and_no_others(either: Page, shop: Shop) -> None:
    await shop.fail(ImportFile("if"), *PEOPLE)
    await either.goto(f"{JOBS}&queue=emails")
    for place in (0, 2):
        await row(either, "SendWelcomeEmail").nth(place).get_by_role("checkbox").check()
    await either.get_by_role("button", name="Retry…").click()
    await expect(either.get_by_role("heading", level=1)).to_have_text("Retry 2 failed jobs?")
    await either.get_by_role("button", name="Retry 2 failed jobs").click()
    await expect(either.get_by_role("status")).to_have_text("2 jobs were put back in the queue.")
    await expect(either.get_by_role("heading", level=1)).to_have_text("1 failed job matches")  # back where one was
    shop.mail_works = True
    await shop.work()
    assert len(shop.sent) == 2
    assert await shop.failed() == 2


async def test_a_group_is_retried_after_its_count_was_shown(either: Page, shop: Shop) -> None:
    await shop.fail(ImportFile("if"), *PEOPLE)
    await either.goto(FAILED)
    await row(either, "SMTPServerDisconnected").get_by_role("link", name="Retry 3 jobs").click()
    await expect(either.get_by_role("heading", level=1)).to_have_text("Retry 3 failed jobs?")
    await either.get_by_role("button", name="Retry 3 failed jobs").click()
    await expect(either.get_by_role("status")).to_have_text("3 jobs were put back in the queue.")
    shop.mail_works = True
    await shop.work()
    assert sorted(shop.sent) == [person.to for person in PEOPLE]
    assert await shop.failed() == 1


async def test_all_that_match_are_retried_after_their_count_was_shown(either: Page, shop: Shop) -> None:
    await shop.fail(ImportFile("if"), *PEOPLE)
    await either.goto(f"{FAILED}?text=unexpectedly+closed")
    await either.get_by_role("link", name="Retry all 3 that match").click()
    await expect(either.get_by_role("heading", level=1)).to_have_text("Retry 3 failed jobs?")
    await expect(either.get_by_text("unexpectedly closed")).to_be_visible()
    await either.get_by_role("button", name="Retry 3 failed jobs").click()
    await expect(either.get_by_role("status")).to_have_text("3 jobs were put back in the queue.")
    assert await shop.failed() == 1


async def test_one_is_forgotten_and_the_others_are_not(either: Page, shop: Shop) -> None:
    await shop.fail(ImportFile("if"), *PEOPLE)
    await either.goto(JOBS)
    await row(either, "ImportFile").get_by_role("link", name="Forget…").click()
    await expect(either.get_by_text("This cannot be undone.")).to_be_visible()
    await either.get_by_role("button", name="Forget 1 failed job").click()
    await expect(either.get_by_role("status")).to_have_text("1 job was forgotten.")
    await expect(row(either, "ImportFile")).to_have_count(0)
    assert await shop.failed() == 3


async def test_the_selected_jobs_are_forgotten_and_no_others(either: Page, shop: Shop) -> None:
    await shop.fail(ImportFile("if"), *PEOPLE)
    await either.goto(JOBS)
    for box in await row(either, "SendWelcomeEmail").get_by_role("checkbox").all():
        await box.check()
    await either.locator(".picked").get_by_role("button", name="Forget…").click()
    await either.get_by_role("button", name="Forget 3 failed jobs").click()
    await expect(either.get_by_role("status")).to_have_text("3 jobs were forgotten.")
    await expect(row(either, "ImportFile")).to_have_count(1)
    assert await shop.failed() == 1


async def test_flushing_asks_first_and_cancelling_does_nothing(either: Page, shop: Shop) -> None:
    await shop.fail(ImportFile("if"), *PEOPLE)
    await either.goto(FAILED)
    await either.get_by_role("link", name="Flush all 4…").click()
    await expect(either.get_by_role("heading", level=1)).to_have_text("Forget all 4 failed jobs?")
    await either.get_by_role("link", name="Cancel").click()
    await expect(either.get_by_role("heading", level=1)).to_have_text("4 failed jobs, 2 reasons")
    assert await shop.failed() == 4
    await either.get_by_role("link", name="Flush all 4…").click()
    await either.get_by_role("button", name="Forget 4 failed jobs").click()
    await expect(either.get_by_role("status")).to_have_text("4 jobs were forgotten.")
    await expect(either.get_by_text("Nothing has failed.")).to_be_visible()
    assert await shop.failed() == 0


async def test_two_browsers_act_on_one_job_and_the_second_is_told(either: Page, windows: Windows, shop: Shop) -> None:
    await shop.fail(SendWelcomeEmail("ann@example.org"))
    other = await windows.open(JOBS)
    await either.goto(JOBS)
    await row(other, "SendWelcomeEmail").get_by_role("link", name="SendWelcomeEmail").click()
    await row(either, "SendWelcomeEmail").get_by_role("link", name="SendWelcomeEmail").click()
    await other.get_by_role("button", name="Retry").click()
    await expect(other.get_by_role("status")).to_have_text("1 job was put back in the queue.")
    windows.expect("status of 404")
    await either.get_by_role("button", name="Retry").click()
    await expect(either.get_by_role("heading", level=1)).to_have_text("No such failed job")
    shop.mail_works = True
    await shop.work()
    assert shop.sent == ["ann@example.org"]


async def test_a_double_click_retries_once(page: Page, shop: Shop) -> None:
    await shop.fail(SendWelcomeEmail("ann@example.org"))
    await page.goto(JOBS)
    await row(page, "SendWelcomeEmail").get_by_role("button", name="Retry").dblclick()
    await expect(page.get_by_role("status")).to_have_text("1 job was put back in the queue.")
    shop.mail_works = True
    await shop.work()
    assert shop.sent == ["ann@example.org"]


async def test_what_led_nowhere_can_be_tried_again_and_others_at_once(page: Page, shop: Shop) -> None:
    await shop.fail(ImportFile("if"), SendWelcomeEmail("ann@example.org"))
    await page.clock.install()
    await page.goto(JOBS)
    # For the page it is the same as when one stops a slow answer: the window stays where it is.
    await page.route("**/retry", lambda route: route.fulfill(status=204))
    for name in ("ImportFile", "SendWelcomeEmail"):
        async with page.expect_request("**/retry"):
            await row(page, name).get_by_role("button", name="Retry").click()
    retry = row(page, "ImportFile").get_by_role("button", name="Retry")
    await expect(retry).to_be_disabled()
    await page.clock.run_for(10_000)
    await page.unroute("**/retry")
    await retry.click()
    await expect(page.get_by_role("status")).to_have_text("1 job was put back in the queue.")
    assert await shop.failed() == 1


async def test_one_returns_to_the_list_as_it_was_filtered(either: Page, shop: Shop) -> None:
    await shop.fail(ImportFile("if"), *PEOPLE)
    await either.goto(f"{FAILED}?queue=emails")
    await row(either, "SMTPServerDisconnected").get_by_role("link", name="Forget 3 jobs").click()
    await either.get_by_role("link", name="Cancel").click()
    await expect(either.get_by_role("heading", level=1)).to_have_text("3 failed jobs match, 1 reason")
    await row(either, "SMTPServerDisconnected").get_by_role("link", name="Forget 3 jobs").click()
    await either.get_by_role("button", name="Forget 3 failed jobs").click()
    await expect(either.get_by_role("status")).to_have_text("3 jobs were forgotten.")
    await expect(either.get_by_role("link", name="Remove the filter: queue emails")).to_be_visible()
    await expect(either.get_by_role("link", name="Remove the filter: kind")).to_have_count(0)


async def test_who_may_only_look_is_not_asked_to_confirm(either: Page, windows: Windows, shop: Shop) -> None:
    windows.expect("status of 403")
    await shop.fail(ImportFile("if"))
    await either.goto(f"{READERS}failed/confirm?action=flush")
    await expect(either.get_by_role("heading", level=1)).to_have_text("You may only look")
    await expect(either.get_by_role("main").get_by_role("button")).to_have_count(0)


@pytest.mark.parametrize("path", ["failed", "failed?view=jobs", "failed/job"])
async def test_who_may_only_look_is_offered_nothing_to_do(either: Page, shop: Shop, path: str) -> None:
    await shop.fail(ImportFile("if"))
    if path.endswith("/job"):
        path += f"?id={(await shop.queue.failed_jobs.search()).jobs[0].id}"
    await either.goto(READERS + path)
    await expect(either.get_by_role("main")).to_contain_text("SyntaxError")
    await expect(either.get_by_text("rita, who may look and change nothing")).to_be_visible()
    words = ("Retry", "Forget", "Flush")
    for role in ("button", "link"):
        for word in words:
            await expect(either.get_by_role("main").get_by_role(role, name=word)).to_have_count(0)
    await expect(either.get_by_role("checkbox")).to_have_count(0)
