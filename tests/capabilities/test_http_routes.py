"""Patterns of paths: which request goes where, and which path is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater.capabilities.http_routes import (
    METHODS_MAX,
    PARTS_MAX,
    PATTERN_MAX_CHARS,
    TAG_MAX_CHARS,
    Found,
    Malformed,
    Middleware,
    Route,
    RouteTable,
    Spec,
    WebSocketRoute,
    are_alike,
    chosen_protocol,
    has_prefix,
    parse_pattern,
    parse_prefix,
    parts_of,
    problem_of,
)


def route(path: str, *methods: str, tag: str = "") -> Route:
    return Route(methods, path, tag, None, "automatic")


def websocket(path: str, *protocols: str) -> WebSocketRoute:
    return WebSocketRoute(path, "", protocols, None, "automatic")


def found(table: RouteTable, path: str, method: str = "GET") -> str:
    """The tag of what is found; the methods that are taken; nothing."""
    result = table.find(method, parts_of(path))
    return result.route.tag if isinstance(result, Found) else ",".join(result)


@pytest.mark.parametrize(
    ("pattern", "path", "parameters"),
    [
        ("/", "/", ()),
        ("/", "/a", None),
        ("/a", "/a", ()),
        ("/a", "/a/", None),
        ("/a/", "/a/", ()),
        ("/a", "/A", None),
        ("/{x}", "/a", (("x", "a"),)),
        ("/{x}", "/", None),
        ("/{x}", "/a/b", None),
        ("/{x}/{y}", "/a/b", (("x", "a"), ("y", "b"))),
        ("/a/{x}/c", "/a/b/c", (("x", "b"),)),
        ("/f/{*rest}", "/f/a/b/c", (("rest", "a/b/c"),)),
        ("/f/{*rest}", "/f/", (("rest", ""),)),
        ("/f/{*rest}", "/f", None),
        ("/{*all}", "/", (("all", ""),)),
        ("/{x}", "/a%20b%C3%A4", (("x", "a bä"),)),
        ("/ä b", "/%c3%a4%20b", ()),
        ("/a~b", "/a%7Eb", ()),
    ],
)
def test_a_pattern_matches_part_by_part(
    pattern: str, path: str, parameters: tuple[tuple[str, str], ...] | None
) -> None:
    assert parse_pattern(pattern).match(parts_of(path)) == parameters


@pytest.mark.parametrize(
    "path",
    [
        *("", "a", "*", "http://a/"),
        *("//", "//a", "/a//b", "/./a", "/..", "/a/../b", "/a/."),
        *("/%2e%2e/a", "/%2E", "/.%2e/", "/a%2fb", "/a%2F..%2Fb", "/a%5Cb", "/a\\b"),
        *("/%00", "/a%0d%0ab", "/%7f", "/a\rb"),
        *("/%", "/%4", "/%zz", "/%ff", "/%c3", "/%ed%a0%80"),
    ],
)
def test_a_path_that_could_mean_another_is_none(path: str) -> None:
    with pytest.raises(Malformed):
        parts_of(path)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
def test_no_parameter_leads_out_of_a_folder(path: str) -> None:
    try:
        parts = parts_of("/" + path)
    except Malformed:
        return
    assert not {".", ".."} & {*parts}
    assert not any("/" in part or "\\" in part or "\0" in part for part in parts)
    assert "" not in parts[:-1]


def test_a_literal_goes_before_a_parameter_and_that_before_the_rest() -> None:
    table = RouteTable(
        [
            route("/{*rest}", tag="rest"),
            route("/{a}/{b}", tag="two"),
            route("/x/{*rest}", tag="x-rest"),
            route("/{a}/y", tag="y"),
            route("/x/{b}", tag="x-one"),
            route("/x/y", tag="both"),
        ]
    )

    assert [found(table, path) for path in ("/x/y", "/x/z", "/w/y", "/w/z", "/x/y/z", "/w")] == [
        *("both", "x-one", "y", "two", "x-rest", "rest"),
    ]


def test_of_those_that_match_one_is_chosen_that_takes_the_method() -> None:
    table = RouteTable(
        [
            *(route("/a/b", "POST", tag="post"), route("/a/{x}", "GET", tag="get"), route("/c", tag="all")),
            *(route("/c", "PUT", tag="put"), route("/d", "GET", tag="d-get"), route("/d", "HEAD", tag="d-head")),
        ]
    )

    assert found(table, "/a/b", "POST") == "post"
    assert found(table, "/a/b", "GET") == "get"
    assert found(table, "/a/b", "HEAD") == "get"
    assert found(table, "/d", "HEAD") == "d-head"
    assert found(table, "/a/b", "DELETE") == "GET,HEAD,POST"
    assert found(table, "/c", "PUT") == "put"
    assert found(table, "/c", "BREW") == "all"
    assert found(table, "/nothing") == ""


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (route("a"), "begins with a slash"),
        (route(""), "begins with a slash"),
        (route("/a//b"), "is no name"),
        (route("/../b"), "is no name"),
        (route("/a?b"), "a part has none of"),
        (route("/a%20b"), "a part has none of"),
        (route("/a\\b"), "a part has none of"),
        (route("/a\r\nb"), "a part has none of"),
        (route("/a\0"), "a part has none of"),
        (route("/{x"), "whole part"),
        (route("/a{x}"), "whole part"),
        (route("/{}"), "name has up to 64 letters"),
        (route("/{1x}"), "name has up to 64 letters"),
        (route("/{*}"), "name has up to 64 letters"),
        (route("/{x}/{x}"), "one name"),
        (route("/{*x}/y"), "nothing can follow"),
        (route("/" + "x" * PATTERN_MAX_CHARS), "characters"),
        (route("/x" * (PARTS_MAX + 1)), "parts"),
        (route("/", "get"), "is no method in upper case"),
        (route("/", "CONNECT"), "is no method"),
        (route("/", "GET", "GET"), "twice"),
        (route("/", *(f"M{n}" for n in range(METHODS_MAX + 1))), "at most"),
        (route("/", tag="x" * (TAG_MAX_CHARS + 1)), "tag"),
        (Middleware("api", ""), "begins with a slash"),
        (Middleware("/{x}", ""), "no parameters"),
        (websocket("/", "a b"), "is no subprotocol"),
        (websocket("/", "a\r\nb"), "is no subprotocol"),
        (websocket("/", ""), "is no subprotocol"),
    ],
)
def test_what_cannot_be_a_route_is_told_why(spec: Spec, why: str) -> None:
    assert why in (problem_of(spec) or "")


@pytest.mark.parametrize(
    "spec", [route("/" + "x" * (PATTERN_MAX_CHARS - 1)), route("/x" * PARTS_MAX), Middleware("/", "")]
)
def test_what_is_at_the_limits_is_a_route(spec: Spec) -> None:
    assert problem_of(spec) is None


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        (route("/{a}"), route("/{b}"), True),
        (route("/{a}", "GET"), route("/{b}", "GET", "PUT"), True),
        (route("/{a}", "GET"), route("/{b}", "PUT"), False),
        (route("/{a}", "GET"), route("/{b}"), False),
        (route("/{a}"), route("/{*a}"), False),
        (route("/a"), websocket("/a"), False),
        (websocket("/a", "x"), websocket("/a", "y"), True),
        (Middleware("/a", "x"), Middleware("/a/", "x"), True),
        (Middleware("/a", "x"), Middleware("/a", "y"), False),
    ],
)
def test_two_that_could_not_be_told_apart_are_one(one: Spec, other: Spec, *, is_one: bool) -> None:
    assert are_alike(one, other) is is_one
    assert are_alike(other, one) is is_one


def test_a_prefix_is_one_of_whole_parts() -> None:
    assert has_prefix(parts_of("/api/x"), parse_prefix("/api"))
    assert has_prefix(parts_of("/api"), parse_prefix("/api/"))
    assert has_prefix(parts_of("/"), parse_prefix("/"))
    assert not has_prefix(parts_of("/apix"), parse_prefix("/api"))
    assert not has_prefix(parts_of("/"), parse_prefix("/api"))


def test_the_preferred_subprotocol_of_the_server_is_chosen() -> None:
    assert chosen_protocol(["b", "a"], ["a", "b"]) == "b"
    assert chosen_protocol(["c"], ["a"]) is None
    assert chosen_protocol([], ["a"]) is None
