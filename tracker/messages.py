"""Every message of the WebSocket protocol, as a type: the client's first, then the server's."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from tracker.records import DeliveryStatus, TransitionKind

Timestamp = Annotated[datetime, msgspec.Meta(tz=True)] | float | None
"""ISO 8601 with any offset, or epoch seconds or milliseconds; absent: the time of receipt."""

Seq = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""A sequence number: exact in every JSON parser, and in the store."""


class Fix(msgspec.Struct, gc=False, omit_defaults=True):
    """One measured location; degrees, m/s, degrees from true north, metres."""

    latitude: float
    longitude: float
    speed: float | None = None
    heading: float | None = None
    accuracy: float | None = None
    timestamp: Timestamp = None
    provider: str | None = None  # gps, network or fused
    mock: bool | None = None  # made up by an app


class Columns(msgspec.Struct):
    """Fixes in columns, all of one length; an absent column is not known."""

    latitude: list[float]
    longitude: list[float]
    timestamp: list[Timestamp] | None = None
    speed: list[float | None] | None = None
    heading: list[float | None] | None = None
    accuracy: list[float | None] | None = None
    provider: list[str | None] | None = None
    mock: list[bool | None] | None = None


class Since(msgspec.Struct):
    """Where a client left off in a channel."""

    epoch: str
    seq: Seq


class ClientMessage(msgspec.Struct, tag_field="type"):
    """What a client may send."""


class ClientHeartbeat(ClientMessage, tag="heartbeat"):
    """A sign of life; answered with `heartbeat`."""


class Subscribe(ClientMessage, tag="subscribe"):
    """Join a channel, or resume it `since` the last message seen."""

    channel: str
    since: Since | None = None


class Unsubscribe(ClientMessage, tag="unsubscribe"):
    """Leave a channel."""

    channel: str


class LocationUpdate(ClientMessage, tag="location_update"):
    """One fix of this driver; acknowledged when it carries a `seq`."""

    latitude: float
    longitude: float
    speed: float | None = None
    heading: float | None = None
    accuracy: float | None = None
    timestamp: Timestamp = None
    provider: str | None = None
    mock: bool | None = None
    seq: Seq | None = None
    sent_at: Timestamp = None


class LocationBatch(ClientMessage, tag="location_batch"):
    """Many fixes of this driver, as `fixes` or as `columns`; acknowledged when they are durable.

    `sent_at`, the phone's time when it made the message, tells how its clock differs from the server's.
    """

    seq: Seq
    fixes: list[Fix] | None = None
    columns: Columns | None = None
    sent_at: Timestamp = None


class OrderUpdate(ClientMessage, tag="order_update"):
    """A driver or the office moves an order on."""

    order_id: str
    status: str
    details: dict[str, Any] | None = None


class DeliveryConfirmed(ClientMessage, tag="delivery.confirmed"):
    """The goods were handed over."""

    order_id: str
    customer_id: str | None = None
    confirmed_at: Timestamp = None
    confirmation_type: str | None = None
    cylinder_serial: str | None = None


class Acknowledge(ClientMessage, tag="ack"):
    """Everything up to `seq` on this channel has arrived."""

    channel: str
    seq: Seq


class Authenticate(ClientMessage, tag="auth"):
    """A first token, or a newer one."""

    token: str


AnyClientMessage = (
    ClientHeartbeat
    | Subscribe
    | Unsubscribe
    | LocationUpdate
    | LocationBatch
    | OrderUpdate
    | DeliveryConfirmed
    | Acknowledge
    | Authenticate
)


class ServerMessage(msgspec.Struct, tag_field="type", omit_defaults=True):
    """What the server may send. Times are ISO 8601 UTC with `Z`."""


class Connection(ServerMessage, tag="connection", kw_only=True):
    """The first message of every socket."""

    status: Literal["connected", "authentication_required"]
    connection_id: str
    timestamp: str


class Heartbeat(ServerMessage, tag="heartbeat", kw_only=True):
    """The answer to a heartbeat."""

    timestamp: str


class Subscribed(ServerMessage, tag="subscribed", kw_only=True):
    """The channel is joined; what follows comes after `seq` of `epoch`. `recovered` answers a `since`."""

    channel: str
    epoch: str
    seq: int
    recovered: bool | None = None


class Unsubscribed(ServerMessage, tag="unsubscribed", kw_only=True):
    """The channel is left."""

    channel: str


class Rejected(msgspec.Struct):
    """A fix that was refused, by its index in the batch."""

    index: int
    code: str
    message: str


class LocationAck(ServerMessage, tag="location.ack", kw_only=True, omit_defaults=False):
    """The batch `seq` is durable; every index is accounted for. Of those accepted, `aside` counts by reason the ones
    that are stored but do not move the driver: late, outlier, coarse.
    """

    seq: int | None
    accepted: int
    duplicates: int
    rejected: list[Rejected]
    aside: dict[str, int] | msgspec.UnsetType = msgspec.UNSET


class DriverLocation(ServerMessage, tag="driver.location", kw_only=True):
    """Where a driver is; `age` in seconds when it was sent; `mock` where an app made the fix up."""

    driver_id: str
    latitude: float
    longitude: float
    speed: float | None = None
    heading: float | None = None
    accuracy: float | None = None
    timestamp: str
    age: float
    mock: bool = False


class DriverStatus(ServerMessage, tag="driver.status", kw_only=True):
    """A driver is live, late or silent since a moment; `timestamp` is that of the newest fix."""

    driver_id: str
    status: Literal["live", "late", "silent"]
    since: str
    timestamp: str


class DeliveryUpdate(ServerMessage, tag="delivery.update", kw_only=True):
    """A delivery reached a status."""

    status: DeliveryStatus
    message: str
    order_id: str
    timestamp: str
    driver_id: str | None = None
    occurred_at: str | None = None
    eta: str | msgspec.UnsetType | None = msgspec.UNSET
    """Null where it is withdrawn: the driver is silent."""
    eta_low: str | msgspec.UnsetType | None = msgspec.UNSET
    eta_high: str | msgspec.UnsetType | None = msgspec.UNSET
    confidence: float | None = None
    late: bool = False


class OrderCreated(ServerMessage, tag="order.created", kw_only=True):
    """There is a new order."""

    order_id: str
    customer_id: str
    customer_name: str | None = None
    products: list[Any] = msgspec.field(default_factory=list)
    delivery_date: str | None = None
    address: str | None = None
    driver_id: str | None = None
    status: str | None = None


class OrderUpdated(ServerMessage, tag="order.updated", kw_only=True):
    """An order changed."""

    order_id: str
    status: str
    details: dict[str, Any] | None = None


class RouteUpdated(ServerMessage, tag="route.updated", kw_only=True):
    """A driver's route changed."""

    route_id: str
    driver_id: str


class Notification(ServerMessage, tag="notification", kw_only=True):
    """Something for a person to read; `action` says what the app may offer to do about it."""

    message: str
    title: str | None = None
    severity: Literal["info", "success", "warning", "error", "critical"] = msgspec.field(default="info")
    action: dict[str, Any] | None = None
    timestamp: str | None = None


class MaintenanceAlert(ServerMessage, tag="maintenance.alert", kw_only=True):
    """Something about the system that concerns everyone."""

    message: str
    title: str | None = None
    severity: Literal["info", "warning", "error", "critical"] = "warning"
    starts_at: str | None = None
    ends_at: str | None = None
    timestamp: str | None = None


class GeofenceEvent(ServerMessage, tag="geofence.event", kw_only=True):
    """A driver entered, left, stayed in or passed through a geofence."""

    kind: TransitionKind
    driver_id: str
    geofence_id: str
    occurred_at: str
    confidence: float | None = None
    late: bool = False


class EventAmended(ServerMessage, tag="event.amended", kw_only=True):
    """Late data shows what an event was: no news, but a correction of `amends`; `withdrawn` where it never happened."""

    amends: str
    version: int
    kind: str
    driver_id: str
    occurred_at: str
    geofence_id: str | None = None
    order_id: str | None = None
    confidence: float | None = None
    withdrawn: bool = False


class AuthExpiring(ServerMessage, tag="auth.expiring", kw_only=True):
    """The token ends soon: send `auth` with a new one."""

    expires_at: str


class Reconnect(ServerMessage, tag="reconnect", kw_only=True):
    """The server is going down: connect again after so many milliseconds."""

    after_ms: int


class Error(ServerMessage, tag="error", kw_only=True):
    """Something the client sent was refused; `ref` is its `seq` where it had one."""

    code: str
    message: str
    ref: int | None = None
