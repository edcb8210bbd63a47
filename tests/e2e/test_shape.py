"""Long names and huge numbers: tables keep their shape, and the page its width."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import pytest
import sqlalchemy as sa

from lagoqueue import Worker, dispatch
from lagoqueue.monitor.tally import NAMES
from tests.e2e.shop import FAILED, FULL, Shop
from tests.e2e.windows import Page, Windows, expect

WORD = "recalculate" * 9 + "!"
"""100 characters without a place to break."""

SHAPE = """(table) => {
  const rows = [...table.tBodies[0].rows];
  const head = table.tHead.rows[0].getBoundingClientRect();
  return {
    heights: new Set(rows.map((row) => Math.round(row.getBoundingClientRect().height))).size,
    right: rows.every((row) => Math.abs(row.getBoundingClientRect().right - head.right) < 1),
    cut: rows.flatMap((row) => [...row.cells]).filter((cell) => cell.scrollWidth > cell.clientWidth + 1).length,
  };
}"""


@dataclass(frozen=True)
class Anything:
    __job_name__: ClassVar[str] = WORD


async def fill(shop: Shop) -> None:
    """Have two queues: one of everyday size, and one with a name and numbers as large as they can be."""
    for label in ("a", WORD):
        view = shop.queue.named(label)
        await dispatch(view, Anything())
        worker = Worker(view, max_retry=1, unknown_grace=0)
        await worker.run(burst=True)
        await dispatch(view, Anything(), id=f"{label}-waits")
    totals, history = (shop.queue.metadata.tables[f"lagoqueue_{name}"] for name in ("totals", "history"))
    huge = dict.fromkeys(("pushed", "processed", "failed", "retried"), 10**15)
    bucket = int(time.time()) // 10 * 10 - 20
    many = dict.fromkeys(NAMES, 2**30) | {"jobs_table": "jobs", "span": 10, "bucket": bucket, "queue": WORD}
    engine = sa.create_engine(shop.url)
    with engine.begin() as connection:
        connection.execute(totals.delete().where(totals.c.queue == WORD))
        connection.execute(totals.insert().values(jobs_table="jobs", queue=WORD, processed_at=10**15, **huge))
        connection.execute(history.insert().values(many))
    engine.dispose()


async def in_shape(page: Page) -> None:
    table = page.get_by_role("table").first
    await expect(table).to_contain_text(WORD)
    assert await table.evaluate(SHAPE) == {"heights": 1, "right": True, "cut": 0}
    wide = page.viewport_size
    assert wide is not None
    assert await page.evaluate("document.documentElement.scrollWidth") == wide["width"]


@pytest.mark.parametrize("phone", [False, True], ids=["wide", "phone"])
async def test_the_tables_of_queues_and_of_jobs(windows: Windows, shop: Shop, phone: bool) -> None:
    await fill(shop)
    page = await windows.open(FULL, phone=phone)
    await in_shape(page)
    await page.goto(f"{FULL}queue?name={WORD}")
    await in_shape(page)


@pytest.mark.parametrize("phone", [False, True], ids=["wide", "phone"])
@pytest.mark.parametrize("view", ["groups", "jobs"])
async def test_the_lists_of_failed_jobs(windows: Windows, shop: Shop, view: str, phone: bool) -> None:
    await fill(shop)
    page = await windows.open(f"{FAILED}?view={view}", phone=phone)
    await expect(page.get_by_role("main")).to_contain_text(WORD)
    wide = page.viewport_size
    assert wide is not None
    assert await page.evaluate("document.documentElement.scrollWidth") == wide["width"]
    await page.get_by_role("main").get_by_role("listitem").get_by_role("link").first.click()
    assert await page.evaluate("document.documentElement.scrollWidth") == wide["width"]
