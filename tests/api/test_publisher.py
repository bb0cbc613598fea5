import pytest

from tests.site import Site, said, site
from tracker.errors import InvalidInput, NotFound


@pytest.fixture
async def here(sqlite_url: str):
    async with site(sqlite_url, message_ttl_s=60.0) as running:
        yield running


async def test_what_it_tells_is_stored_when_it_returns_and_waits_as_long_as_set(here: Site):
    event_id = await here.services.publisher.send_to_user("U1", {"message": "m"}, "high")
    ((seq, letter),) = await here.services.store.waiting(["user:U1"], here.clock.now)
    assert (seq, letter.event_id, letter.priority) == (1, event_id, "high")
    assert letter.expires_at == here.clock.now + 60.0


@pytest.mark.parametrize("user_id", ["", "a\nb", "a@customer:b", "x" * 201])
async def test_nobody_has_such_an_id(here: Site, user_id: str):
    with pytest.raises(InvalidInput):
        await here.services.publisher.send_to_user(user_id, {"message": "m"})


@pytest.mark.parametrize("order_id", [None, 5, "", "a\nb", "O9"])
async def test_an_event_of_an_order_nobody_knows_goes_to_the_office(here: Site, order_id: object):
    event = {"type": "billing.done", "order_id": order_id}
    await here.services.publisher.publish_event("orders", event)
    assert len(await said(here.services, "orders")) == 1
    with pytest.raises(NotFound):
        await here.services.publisher.publish_event(f"order:{order_id}", event)
