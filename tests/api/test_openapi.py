"""The OpenAPI document: valid, of exactly the routes there are, and true of what they take and answer."""

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Mount

from api.openapi import DETAILS, PARAMETERS
from api.web import routes
from tests.site import OFFICE, Site, order_body, site


@pytest.fixture
async def api(sqlite_url: str):
    async with site(sqlite_url) as here:
        yield here


async def test_it_is_valid_and_holds_every_route_and_no_other(api: Site):
    whole = (await api.http.get("/openapi.json")).json()
    assert list(OpenAPIV31SpecValidator(whole).iter_errors()) == []
    expected = {
        (route.path.replace(":path", ""), method)
        for route in routes()
        if not isinstance(route, Mount)
        for method in (getattr(route, "handlers", None) or ["GET"])
    }
    described = {
        (path, method.upper()) for path, item in whole["paths"].items() for method in item if method != "parameters"
    }
    assert described == expected
    assert {("/api/v1/events", "POST"), ("/openapi.json", "GET"), ("/asyncapi.json", "GET")} <= expected


async def test_details_are_of_handlers_that_there_are_and_every_one_says_what_it_does(api: Site):
    whole = (await api.http.get("/openapi.json")).json()
    operations = [
        operation for item in whole["paths"].values() for name, operation in item.items() if name != "parameters"
    ]
    assert set(DETAILS) <= {operation["operationId"] for operation in operations}
    assert all(operation["summary"].endswith((".", ":")) for operation in operations)
    assert {name for details in DETAILS.values() for name in details.query} == set(PARAMETERS)


async def test_what_it_says_of_bodies_is_what_is_taken(api: Site):
    whole = (await api.http.get("/openapi.json")).json()

    def fits(name: str, body: object) -> bool:
        schema = {"components": whole["components"], "$ref": f"#/components/schemas/{name}"}
        return jsonschema.Draft202012Validator(schema).is_valid(body)

    for body, taken in [(order_body(), True), (order_body(customer_id=""), False), ({"customer_id": "C1"}, False)]:
        assert fits("OrderBody", body) is taken
        assert (await api.ask(OFFICE, "PUT", "orders/O1", json=body)).is_success is taken
    for body, taken in [({"channel": "system", "event": {"message": "m"}}, True), ({"event": {}}, False)]:
        assert fits("EventBody", body) is taken
        assert (await api.ask(OFFICE, "POST", "events", json=body)).is_success is taken
    refused = (await api.ask(OFFICE, "PUT", "orders/O1", json={})).json()
    assert fits("Error", refused)


async def test_descriptions_need_no_token(api: Site):
    for path in ("/openapi.json", "/asyncapi.json"):
        answer = await api.http.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
