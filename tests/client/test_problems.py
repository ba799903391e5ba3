"""An error of the server is raised by the client as what it was."""

from __future__ import annotations

import msgspec
import pytest

from theater import errors
from theater.client.problems import PROBLEM, error_of, of_bare_status, read_problem
from theater.errors import BadRequest, Busy, Denied, Forbidden, InternalError, NoServer, TheaterError, Unauthorized
from theater.model.wire import Problem
from theater.server.problem import ROWS, problem_of, status_of

URL = "http://127.0.0.1:2823"
ERRORS = [
    item
    for item in vars(errors).values()
    if isinstance(item, type) and issubclass(item, TheaterError) and item is not InternalError
]


def told(code: str, status: int = 400, data: dict[str, object] | None = None) -> Problem:
    return Problem(type="t", title="t", status=status, detail="what to do", code=code, request_id="r", data=data or {})


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: str(kind.code))
def test_every_error_goes_through_a_server_and_comes_out_as_itself(kind: type[TheaterError]) -> None:
    error = error_of(problem_of(kind("what to do", seq=3, asked=["a"]), "r"))

    assert type(error) is kind
    assert (error.code, error.message, str(error)) == (kind.code, "what to do", "what to do")
    assert error.data == {"seq": 3, "asked": ["a"]}


@pytest.mark.parametrize("code", sorted(ROWS))
def test_every_code_that_a_server_answers_with_has_a_class_and_is_kept(code: str) -> None:
    error = error_of(told(code, status_of(code)))

    assert error.code == code
    assert type(error) is not TheaterError or code == "error"
    assert (status_of(code) in (429, 503)) <= isinstance(error, Busy | errors.StoreError)


def test_which_case_of_an_error_it_was_is_kept() -> None:
    bad, foreign = error_of(told("too-large", 413)), error_of(told("foreign-origin"))

    assert isinstance(bad, BadRequest)
    assert bad.status == 413
    assert isinstance(foreign, Forbidden)
    assert (Forbidden.code, BadRequest.code) == ("forbidden", "bad-request")


def test_an_unknown_code_is_kept_by_the_root() -> None:
    error = error_of(told("from-the-future"))

    assert type(error) is TheaterError
    assert error.code == "from-the-future"
    assert TheaterError.code == "error"


def test_data_may_have_any_names() -> None:
    error = error_of(told("denied", data={"message": "m", "self": "s", "code": "c", "status": 1}))

    assert isinstance(error, Denied)
    assert error.message == "what to do"
    assert error.data == {"message": "m", "self": "s", "code": "c", "status": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b'{"code":1}', b"[" * 100_000])
def test_a_problem_that_cannot_be_read_is_a_bug(content: bytes) -> None:
    error = read_problem(URL, 400, PROBLEM, content)

    assert isinstance(error, InternalError)
    assert URL in error.message


@pytest.mark.parametrize("media", ["", "text/html", "application/json"])
def test_what_is_no_problem_comes_from_somebody_else(media: str) -> None:
    error = read_problem(URL, 502, media, msgspec.json.encode(told("busy")))

    assert isinstance(error, NoServer)
    assert "502" in error.message
    assert (media or "of no type") in error.message


def test_a_bare_status_says_what_it_can() -> None:
    kinds = [type(of_bare_status(URL, status)) for status in (401, 403, 500)]

    assert kinds == [Unauthorized, Forbidden, NoServer]
