import pytest

from tests.site import CUSTOMER, DRIVER, OFFICE, Site, refused, said, site
from tracker.channels import Viewer

SERVICE = Viewer("S1", "service", None, None)
ADMIN = Viewer("A1", "admin", None, None)
EVENT = {"channel": "system", "event": {"message": "m", "event_id": "E1"}}


@pytest.fixture
async def api(sqlite_url: str):
    async with site(sqlite_url) as here:
        yield here


@pytest.mark.parametrize("viewer", [OFFICE, ADMIN, SERVICE], ids=lambda viewer: viewer.role)
async def test_back_ends_and_the_office_publish(api: Site, viewer: Viewer):
    answer = await api.ask(viewer, "POST", "events", json=EVENT)
    assert (answer.status_code, answer.json()) == (201, {"event_id": "E1"})
    answer = await api.ask(viewer, "POST", "events", json=EVENT | {"use_queue": True, "priority": "low"})
    assert answer.status_code == 202
    answer = await api.ask(viewer, "POST", "users/a%2Fb/messages", json={"message": {"message": "m"}})
    assert answer.status_code == 201
    assert [m["message"] for m in await said(api.services, "user:a/b")] == ["m"]


@pytest.mark.parametrize("viewer", [DRIVER, CUSTOMER], ids=lambda viewer: viewer.role)
async def test_others_do_not(api: Site, viewer: Viewer):
    for path, body in [("events", EVENT), ("users/D1/messages", {"message": {"message": "m"}})]:
        assert refused(await api.ask(viewer, "POST", path, json=body))[:2] == (403, "not_allowed")
        assert refused(await api.ask(None, "POST", path, json=body))[:2] == (401, "not_authenticated")
    assert await said(api.services, "system") == []


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("events", [], (400, "invalid_input", None)),
        ("events", {"event": {}}, (400, "invalid_input", None)),
        ("events", EVENT | {"priority": "urgent"}, (400, "invalid_input", "priority")),
        ("events", EVENT | {"event": "text"}, (400, "invalid_input", "event")),
        ("events", EVENT | {"event": {"type": "error", "message": "m"}}, (400, "invalid_input", "type")),
        ("events", EVENT | {"target_user_id": ""}, (400, "invalid_input", "target_user_id")),
        ("events", EVENT | {"channel": "nowhere"}, (404, "unknown_channel", None)),
        ("events", EVENT | {"channel": "order:O9"}, (404, "not_found", None)),
        ("events", EVENT | {"event": {"message": "x" * 40_000}}, (413, "message_too_large", None)),
        ("users/U1/messages", {"text": "m"}, (400, "invalid_input", None)),
        ("users/a@customer:b/messages", {"message": {"message": "m"}}, (404, "not_found", None)),
    ],
)
async def test_what_is_wrong_is_told_by_code_and_field(api: Site, path, body, told):
    assert refused(await api.ask(OFFICE, "POST", path, json=body)) == told
