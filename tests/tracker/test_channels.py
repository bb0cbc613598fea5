"""Channels: who may join what, name by name, and which topic each joins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.channels import Viewer, channel, order_id_of, order_topics, topic
from tracker.errors import NotAllowed, NotFound, UnknownChannel
from tracker.records import Destination, Order

DRIVER = Viewer("D-user", "driver", driver_id="D1", customer_id=None)
CUSTOMER = Viewer("C-user", "customer", driver_id=None, customer_id="C1")
OFFICE = Viewer("O-user", "office", driver_id=None, customer_id=None)
ADMIN = Viewer("A-user", "admin", driver_id=None, customer_id=None)
SERVICE = Viewer("S-user", "service", driver_id=None, customer_id=None)
STAFF = [OFFICE, ADMIN, SERVICE]
EVERYONE = [DRIVER, CUSTOMER, *STAFF]


def order(order_id: str = "X", customer_id: str = "C1", driver_id: str | None = "D1") -> Order:
    return Order(order_id=order_id, customer_id=customer_id, driver_id=driver_id, destination=Destination())


@pytest.mark.parametrize("viewer", STAFF)
@pytest.mark.parametrize(
    "name",
    ["orders", "drivers", "routes", "customers", "system", "order:X", "driver:D1", "geofence:depot-1", "area:1,2,3,4"],
)
def test_the_office_joins_every_channel_whole(viewer, name):
    assert topic(viewer, name, order()) == name


@pytest.mark.parametrize(
    ("viewer", "name", "joined"),
    [
        (DRIVER, "orders", "orders@driver:D1"),
        (DRIVER, "routes", "routes@driver:D1"),
        (DRIVER, "system", "system"),
        (DRIVER, "order:X", "order:X@driver:D1"),
        (DRIVER, "driver:D1", "driver:D1"),
        (DRIVER, "user:D-user", "user:D-user"),
        (CUSTOMER, "orders", "orders@customer:C1"),
        (CUSTOMER, "customers", "customers@customer:C1"),
        (CUSTOMER, "system", "system"),
        (CUSTOMER, "order:X", "order:X@customer:C1"),
        (CUSTOMER, "user:C-user", "user:C-user"),
        (OFFICE, "user:O-user", "user:O-user"),
    ],
)
def test_others_join_their_own_part(viewer, name, joined):
    assert topic(viewer, name, order()) == joined


@pytest.mark.parametrize(
    ("viewer", "name"),
    [
        (DRIVER, "drivers"),
        (DRIVER, "customers"),
        (DRIVER, "driver:D2"),
        (DRIVER, "driver:D-user"),
        (DRIVER, "geofence:depot-1"),
        (DRIVER, "area:1,2,3,4"),
        (CUSTOMER, "area:1,2,3,4"),
        (DRIVER, "user:D1"),
        (CUSTOMER, "drivers"),
        (CUSTOMER, "routes"),
        (CUSTOMER, "driver:D1"),
        (CUSTOMER, "driver:C1"),
        (CUSTOMER, "geofence:depot-1"),
        (CUSTOMER, "user:C1"),
        *((viewer, "user:somebody") for viewer in STAFF),
    ],
)
def test_what_is_not_theirs_is_refused(viewer, name):
    with pytest.raises(NotAllowed):
        topic(viewer, name, order())


@pytest.mark.parametrize("viewer", [DRIVER, CUSTOMER])
@pytest.mark.parametrize(
    "given", [None, order(customer_id="C2", driver_id="D2"), order(customer_id="D1", driver_id="C1")]
)
def test_an_order_of_others_and_none_look_the_same(viewer, given):
    with pytest.raises(NotAllowed) as caught:
        topic(viewer, "order:X", given)
    assert caught.value.message == "This is not an order of yours."


@pytest.mark.parametrize("viewer", STAFF)
def test_the_office_is_told_that_there_is_no_such_order(viewer):
    with pytest.raises(NotFound, match="'X'"):
        topic(viewer, "order:X", None)


@pytest.mark.parametrize("role", ["driver", "customer"])
def test_nobody_is_the_driver_of_an_order_without_one(role):
    nobody = Viewer("U", role, driver_id=None, customer_id=None)
    for name in ("order:X", "orders"):
        with pytest.raises(NotAllowed):
            topic(nobody, name, order(driver_id=None))


@pytest.mark.parametrize(
    ("role", "name", "given"),
    [
        ("driver", "order:X", order(customer_id="C1", driver_id="D2")),
        ("customer", "order:X", order(customer_id="C2", driver_id="D1")),
        ("customer", "driver:D1", None),
    ],
)
def test_who_is_driver_and_customer_acts_only_as_the_role_says(role, name, given):
    both = Viewer("U", role, driver_id="D1", customer_id="C1")
    with pytest.raises(NotAllowed):
        topic(both, name, given)


@pytest.mark.parametrize("viewer", EVERYONE)
@pytest.mark.parametrize(
    "name",
    [
        "",
        "order",
        "Orders",
        "order:",
        "driver:",
        "user:",
        "bogus:1",
        "orders@driver:D2",
        "order:X@customer:C1",
        "order:X@driver:D1",
        "order:a\nb",
        "driver:\x00",
        "user:" + "x" * 201,
        "\ud800",
    ],
)
def test_there_is_no_other_channel(viewer, name):
    with pytest.raises(UnknownChannel) as caught:
        topic(viewer, name, order())
    assert len(caught.value.message.encode()) < 400


@pytest.mark.parametrize(
    ("name", "order_id"),
    [
        ("order:X", "X"),
        ("order:a:b", "a:b"),
        ("order:", None),
        ("order:a\0", None),
        ("orders", None),
        ("driver:X", None),
        ("", None),
    ],
)
def test_a_channel_names_its_order(name, order_id):
    assert order_id_of(name) == order_id


ids = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@given(st.sampled_from(["driver", "customer"]), ids, st.sampled_from(["orders", "routes", "customers", "system", ""]))
def test_the_topic_of_any_viewer_is_that_channel_on_the_wire(role, key, name):
    """Ids may hold anything, `@` and `:` included."""
    viewer = Viewer(key, role, driver_id=key, customer_id=key)
    for wanted in (name or f"order:{key}", f"user:{key}"):
        try:
            joined = topic(viewer, wanted, order(key, key, key))
        except (NotAllowed, UnknownChannel):
            continue
        assert channel(joined) == wanted


def test_a_message_about_an_order_reaches_everyone_it_concerns():
    topics = order_topics(order())
    assert len(topics) == len(set(topics))
    for viewer in (DRIVER, CUSTOMER, OFFICE):
        assert topic(viewer, "orders", None) in topics
        assert topic(viewer, "order:X", order()) in topics
    assert {channel(name) for name in topics} == {"orders", "order:X"}


def test_an_order_without_a_driver_has_no_driver_to_reach():
    assert not any("@driver" in name for name in order_topics(order(driver_id=None)))


def test_what_the_customer_must_not_hear_goes_to_none_of_his_topics():
    topics = order_topics(order(), customer=False)
    assert topic(DRIVER, "order:X", order()) in topics
    assert not any("@customer" in name for name in topics)
