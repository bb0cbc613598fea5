"""The messages of the protocol are exactly these, field by field."""

import json

import msgspec
import pytest

from tracker.codec import Report, decode, encode
from tracker.messages import (
    Acknowledge,
    AnyClientMessage,
    Authenticate,
    AuthExpiring,
    ClientHeartbeat,
    Connection,
    DeliveryConfirmed,
    DeliveryUpdate,
    DriverLocation,
    DriverStatus,
    Error,
    EventAmended,
    GeofenceEvent,
    Heartbeat,
    LocationAck,
    MaintenanceAlert,
    Notification,
    OrderCreated,
    OrderUpdate,
    OrderUpdated,
    Reconnect,
    RouteUpdated,
    ServerMessage,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)

FROM_CLIENTS = [
    (ClientHeartbeat, '{"type":"heartbeat"}'),
    (Subscribe, '{"type":"subscribe","channel":"orders"}'),
    (Subscribe, '{"type":"subscribe","channel":"orders","since":{"epoch":"e","seq":41}}'),
    (Unsubscribe, '{"type":"unsubscribe","channel":"orders"}'),
    (
        Report,
        '{"type":"location_update","latitude":25.0330,"longitude":121.5654,"speed":8.3,"heading":45,"accuracy":10,'
        '"timestamp":"2025-01-20T10:30:00Z"}',
    ),
    (
        Report,
        '{"type":"location_batch","seq":17,"fixes":[{"latitude":25.0330,"longitude":121.5654,"speed":8.3,"heading":45,'
        '"accuracy":10,"timestamp":"2025-01-20T10:30:00Z"}]}',
    ),
    (
        Report,
        '{"type":"location_batch","seq":18,"columns":{"timestamp":[1737369000.5],"latitude":[25.033],'
        '"longitude":[121.5654],"speed":[8.3],"heading":[45],"accuracy":[10]}}',
    ),
    (
        OrderUpdate,
        '{"type":"order_update","order_id":"ORDER123","status":"delivering","details":{"notes":"On the way",'
        '"eta":"2025-01-20T11:00:00Z"}}',
    ),
    (
        DeliveryConfirmed,
        '{"type":"delivery.confirmed","order_id":"ORDER123","customer_id":"CUST456",'
        '"confirmed_at":"2025-01-20T10:45:00Z","confirmation_type":"qr_code","cylinder_serial":"CYL789"}',
    ),
    (Acknowledge, '{"type":"ack","channel":"user:CUST456","seq":42}'),
    (Authenticate, '{"type":"auth","token":"…"}'),
]

FROM_THE_SERVER = [
    (Connection, '{"type":"connection","status":"connected","connection_id":"conn-1","timestamp":"t"}'),
    (Heartbeat, '{"type":"heartbeat","timestamp":"t"}'),
    (Subscribed, '{"type":"subscribed","channel":"order:ORDER123","epoch":"e","seq":41,"recovered":true}'),
    (Unsubscribed, '{"type":"unsubscribed","channel":"orders"}'),
    (
        LocationAck,
        '{"type":"location.ack","seq":17,"accepted":9,"duplicates":1,'
        '"rejected":[{"index":3,"code":"latitude_out_of_range","message":"m"}]}',
    ),
    (LocationAck, '{"type":"location.ack","seq":null,"accepted":0,"duplicates":0,"rejected":[]}'),
    (
        DriverLocation,
        '{"type":"driver.location","driver_id":"DRIVER789","latitude":25.033,"longitude":121.5654,"speed":8.3,'
        '"heading":45.0,"accuracy":6.5,"timestamp":"2025-01-20T10:30:00Z","age":0.4}',
    ),
    (DriverStatus, '{"type":"driver.status","driver_id":"D","status":"silent","since":"t","timestamp":"t"}'),
    (
        DeliveryUpdate,
        '{"type":"delivery.update","status":"driver_arrived","message":"司機已到達，請準備接收瓦斯",'
        '"order_id":"ORDER123","timestamp":"2025-01-20T10:45:00Z"}',
    ),
    (
        DeliveryUpdate,
        '{"type":"delivery.update","status":"eta_changed","message":"m","order_id":"O","timestamp":"t","driver_id":"D",'
        '"occurred_at":"t","eta":"t","eta_low":"t","eta_high":"t","confidence":0.5,"late":true}',
    ),
    (
        OrderCreated,
        '{"type":"order.created","order_id":"ORDER123","customer_id":"CUST456","customer_name":"王小明",'
        '"products":[{"name":"20kg 瓦斯桶","quantity":1}],"delivery_date":"2025-01-20",'
        '"address":"台北市大安區信義路100號"}',
    ),
    (OrderUpdated, '{"type":"order.updated","order_id":"ORDER123","status":"delivering"}'),
    (RouteUpdated, '{"type":"route.updated","route_id":"R","driver_id":"DRIVER789"}'),
    (
        GeofenceEvent,
        '{"type":"geofence.event","kind":"enter","driver_id":"DRIVER789","geofence_id":"depot-1","occurred_at":"t"}',
    ),
    (
        Notification,
        '{"type":"notification","message":"您有新的配送任務","title":"新訂單","severity":"warning",'
        '"action":{"type":"view_order","order_id":"ORDER123"}}',
    ),
    (
        MaintenanceAlert,
        '{"type":"maintenance.alert","message":"m","severity":"info","starts_at":"t","ends_at":"t"}',
    ),
    (
        EventAmended,
        '{"type":"event.amended","amends":"e","version":2,"kind":"enter","driver_id":"D","occurred_at":"t",'
        '"geofence_id":"depot-1","confidence":0.9,"withdrawn":true}',
    ),
    (AuthExpiring, '{"type":"auth.expiring","expires_at":"t"}'),
    (Reconnect, '{"type":"reconnect","after_ms":250}'),
    (Error, '{"type":"error","code":"invalid_message","message":"m","ref":17}'),
]


@pytest.mark.parametrize(("kind", "text"), FROM_CLIENTS)
def test_what_clients_send_is_understood(kind, text):
    assert isinstance(decode(text.encode(), 0.0), kind)


@pytest.mark.parametrize(("kind", "text"), FROM_THE_SERVER)
def test_what_the_server_sends_has_exactly_these_fields(kind, text):
    message = msgspec.json.decode(text, type=kind)
    assert encode(message).decode() == json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))


def test_every_client_message_is_tried_here():
    tags = {member.__struct_config__.tag for member in AnyClientMessage.__args__}
    assert tags == {json.loads(text)["type"] for _, text in FROM_CLIENTS}


def test_every_server_message_is_tried_here():
    assert set(ServerMessage.__subclasses__()) == {kind for kind, _ in FROM_THE_SERVER}
