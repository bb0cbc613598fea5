"""What the engine's hub passes on, and that no marker goes back."""

from typing import Any

from api.cluster.fanout import AHEAD_S, Fanout
from api.cluster.wire import LATEST, Names, decode_located
from tracker.hub import Outbox
from tracker.records import Message

NOW = 1000.0


class BusStandIn:
    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def publish(self, channel: str, payload: bytes) -> None:
        self.sent.append((channel, payload))


def make(*, sending: bool) -> tuple[Fanout, BusStandIn]:
    bus = BusStandIn()
    hub = Fanout(lambda run: run(), bus, Names("e"), lambda: NOW)  # type: ignore[arg-type]
    hub.sending = sending
    return hub, bus


def listener(hub: Fanout, topic: str) -> list[bytes]:
    heard: list[bytes] = []
    hub.join(topic, Outbox(heard.append, lambda: None, hub.counts))
    return heard


def test_locations_go_to_those_who_hear_the_topic_elsewhere_and_to_no_others() -> None:
    hub, bus = make(sending=True)
    hub.elsewhere = {"driver:A"}
    assert (hub.wants_latest("driver:A"), hub.wants_latest("driver:B")) == (True, False)
    hub.put_latest("driver:A", "A", b"1", 1.0)
    hub.put_latest("driver:A", "A", b"2", 2.0)
    hub.put_latest("driver:B", "B", b"3", 2.0)
    hub.flush()
    ((channel, payload),) = bus.sent
    assert channel == Names("e").topic("driver:A")
    assert payload[:1] == LATEST
    assert [(each.driver_id, each.frame) for each in decode_located(payload[1:])] == [("A", b"2")]
    hub.flush()
    assert len(bus.sent) == 1


def test_only_the_engine_passes_messages_on() -> None:
    message = Message(event_id="e", topic="orders", body=b"{}", created_at=0.0)
    for sending in (True, False):
        hub, bus = make(sending=sending)
        hub.pass_on(message, 1, {})
        assert len(bus.sent) == sending


def test_a_marker_never_goes_back_but_from_a_future_that_never_was() -> None:
    hub, _ = make(sending=False)
    heard = listener(hub, "drivers")
    for at, frame in ((2.0, b"a"), (1.0, b"b"), (2.0, b"c"), (NOW + AHEAD_S + 1, b"d"), (3.0, b"e")):
        hub.put_latest("drivers", "A", frame, at)
        hub.flush()
    assert heard == [b"a", b"c", b"d", b"e"]


def test_it_says_who_begins_and_ends_to_hear() -> None:
    hub, _ = make(sending=False)
    changes: list[Any] = []
    hub.changed = lambda topic: changes.append((topic, hub.wants(topic)))
    outbox = Outbox(lambda data: None, lambda: None, hub.counts)
    hub.hold("a", outbox)
    hub.join("a", outbox)
    assert changes[-1] == ("a", True)
    hub.drop(outbox)
    assert changes[-1] == ("a", False)
