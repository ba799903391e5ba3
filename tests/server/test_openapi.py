"""The description of the API is current, whole, and says what the endpoints say."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from theater.server.endpoint import JSON, Endpoint
from theater.server.openapi import make_openapi, statuses
from theater.server.problem import MEDIA, ROWS
from theater.server.routes import ENDPOINTS

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"
IDS = [f"{endpoint.method} {endpoint.path}" for endpoint in ENDPOINTS]
Table = Mapping[str, object]


@pytest.fixture(scope="module")
def document() -> Table:
    made = json.loads(make_openapi(ENDPOINTS))
    assert isinstance(made, dict)
    return made


def at(table: object, *keys: str) -> Table:
    for key in keys:
        assert isinstance(table, Mapping)
        table = table[key]
    assert isinstance(table, Mapping)
    return table


def test_the_one_that_is_checked_in_is_current() -> None:
    made = make_openapi(ENDPOINTS)

    assert DOCUMENT.read_bytes() == made, "python -m theater.server.openapi > docs/reference/openapi.json"


def test_it_is_made_the_same_each_time() -> None:
    assert make_openapi(ENDPOINTS) == make_openapi(ENDPOINTS)


def test_it_says_what_it_is(document: Table) -> None:
    assert document["openapi"] == "3.1.0"
    assert at(document, "components", "securitySchemes", "token")["scheme"] == "bearer"


def test_every_reference_leads_somewhere(document: Table) -> None:
    references = set(re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(document)))

    assert references
    for reference in references:
        at(document, *reference.split("/"))


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [endpoint.operation for endpoint in ENDPOINTS]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z][A-Za-z]+", name) for name in names)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=IDS)
def test_an_operation_is_described(document: Table, endpoint: Endpoint) -> None:
    operation = at(document, "paths", endpoint.path, endpoint.method.lower())

    assert operation["operationId"] == endpoint.operation
    assert operation["summary"]
    assert (operation.get("security") == []) is (endpoint.scope is None)
    responses = at(operation, "responses")
    expected = {str(answer.status) for answer in endpoint.answers} | {str(status) for status in statuses(endpoint)}
    assert set(responses) == expected
    for answer in endpoint.answers:
        content = responses[str(answer.status)]
        kinds = {*answer.media, *([JSON] if answer.document is not None else [])}
        assert set(at(content, "content") if kinds else {}) == kinds


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=IDS)
def test_every_place_in_a_path_is_a_parameter(endpoint: Endpoint) -> None:
    places = set(re.findall(r"{(\w+)}", endpoint.path))

    assert places == {parameter.name for parameter in endpoint.parameters if parameter.place == "path"}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=IDS)
def test_every_error_that_an_endpoint_names_has_a_row(endpoint: Endpoint) -> None:
    assert set(endpoint.errors) <= set(ROWS)
    assert len(set(endpoint.errors)) == len(endpoint.errors)


def test_every_problem_is_one(document: Table) -> None:
    for operation in operations(document):
        for status, response in at(operation, "responses").items():
            if int(status) >= 400:
                assert set(at(response, "content")) == {MEDIA}
                assert "X-Request-Id" in at(response, "headers")


def test_an_order_takes_no_keys_but_its_own(document: Table) -> None:
    for endpoint in ENDPOINTS:
        if endpoint.body is not None and endpoint.body.type is not None:
            schema = at(document, "components", "schemas", endpoint.body.type.__name__)
            assert schema["additionalProperties"] is False


def test_a_guests_json_may_be_anything(document: Table) -> None:
    schemas = at(document, "components", "schemas")

    assert at(schemas, "StateDocument", "properties")["state"] == {}
    assert at(schemas, "StartOrder", "properties")["params"] == {}


def test_every_schema_is_json_schema_of_a_structure(document: Table) -> None:
    for name, schema in at(document, "components", "schemas").items():
        table = msgspec.convert(schema, dict[str, object])
        assert table["type"] == "object", name
        assert table["title"] == name


def operations(document: Table) -> Iterator[Table]:
    for methods in at(document, "paths").values():
        yield from (at(methods, method) for method in at(methods))
