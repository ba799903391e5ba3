"""One table says how every error is answered."""

import json
from pathlib import Path

import pytest

import theater.errors
from theater.errors import BadRequest, InternalError, InvalidInput, NotFound, TheaterError
from theater.server.problem import NOTHING_TOLD, ROWS, problem_of, problem_response

ERRORS = [kind for kind in vars(theater.errors).values() if isinstance(kind, type) and issubclass(kind, TheaterError)]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_row(kind: type[TheaterError]) -> None:
    assert kind.code in ROWS


@pytest.mark.parametrize("code", ROWS)
def test_every_row_is_a_status_of_an_error_and_a_title(code: str) -> None:
    status, title = ROWS[code]

    assert 400 <= status <= 599
    assert title == title.strip()
    assert title[0].isupper()


def test_what_a_client_can_look_at_is_told_and_the_rest_is_not() -> None:
    error = NotFound("none", near=["a", {"b": 1.5}], path=Path("/x"), raw=b"x", _own="y", deep=[[[[[[[[[[]]]]]]]]]])

    assert problem_of(error, "id").data == {"near": ["a", {"b": 1.5}]}


@pytest.mark.parametrize(
    "error", [RuntimeError("swordfish"), InternalError("swordfish", a="swordfish"), KeyError("swordfish")]
)
def test_a_bug_tells_nothing_of_itself(error: Exception) -> None:
    response = problem_response(error, "id")

    assert response.status_code == 500
    assert b"swordfish" not in bytes(response.body)
    assert json.loads(bytes(response.body))["detail"] == NOTHING_TOLD


def test_a_code_without_a_row_is_a_bug() -> None:
    error = BadRequest("x", code="made-up", status=418)

    assert problem_of(error, "id").status == 500


def test_a_message_that_no_utf8_has_is_told_all_the_same() -> None:
    response = problem_response(InvalidInput("no \ud800 here", name="\udfff"), "id")

    document = json.loads(bytes(response.body))
    assert document["detail"] == "no \\ud800 here"
    assert document["data"] == {}
