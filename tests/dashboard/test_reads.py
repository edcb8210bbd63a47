"""What screens read: as much as they show, under keys that they share."""

from __future__ import annotations

from lagoqueue.monitor import PAGE_SIZE, FailedFilter
from lagoqueue_dashboard.reading import Look, Reader
from lagoqueue_dashboard.screens import reads
from tests.dashboard.worlds import DETAILED_WORLDS, Watch, World


@DETAILED_WORLDS
async def test_more_groups_than_a_page_has_can_be_told(world: World) -> None:
    for number in range(PAGE_SIZE + 2):
        await world.fail(f"f{number}", name=f"Job{number}")
    groups = await reads.groups(Look(Reader(world.inspector)))
    assert groups is not None
    assert len(groups) == PAGE_SIZE + 1


@DETAILED_WORLDS
async def test_a_filter_that_leaves_nothing_out_reads_what_all_pages_read(world: World) -> None:
    await world.fail("f1")
    watch = Watch(world.inspector)
    look = Look(Reader(watch.inspector))
    for filter in (None, FailedFilter(), FailedFilter(queue="default")):
        assert await reads.failed_count(look, filter) == 1
        assert len(await reads.groups(look, filter) or []) == 1
    assert (watch.calls["count"], watch.calls["groups"]) == (2, 2)
