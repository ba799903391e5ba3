"""What holds for the least grant of every capability: it allows each call that was allowed, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.capabilities.test_grants import FOLDERS, GRANTS, METHODS, URLS
from theater.capabilities import environment, random, timing
from theater.capabilities.environment import EnvironmentGrant
from theater.capabilities.filesystem_grant import FilesystemGrant
from theater.capabilities.filesystem_place import Place, place_of
from theater.capabilities.http_client_grant import HttpClientGrant
from theater.capabilities.http_order import Order, read_order
from theater.capabilities.http_rules import parse_allow, parse_secret
from theater.capabilities.http_url import parse_url
from theater.capabilities.messaging_grant import MessagingGrant
from theater.capabilities.process_grant import ProcessGrant
from theater.capabilities.process_spec import ProcessOrder
from theater.capabilities.process_spec import read_order as read_process_order
from theater.capabilities.random import RandomGrant
from theater.capabilities.registry import built_in
from theater.capabilities.store import digest_of
from theater.capabilities.store_grant import StoreGrant
from theater.capabilities.supervisor_grant import SupervisorGrant, plain_path
from theater.capabilities.timing import TimingGrant
from theater.capabilities.wasi_file import OpenFile
from theater.capabilities.wasi_http_futures import FutureResponse
from theater.model.actor_system import Acquaintance, Relation
from theater.model.capability import Denied, Grant
from theater.model.ids import ActorId
from theater.model.narrowing import Need, SeenCall
from theater.testing.step_context import ACTOR, FakeStepContext

EVERY = built_in().capabilities
SIZES = st.integers(0, 3 * 2**20)
PARENT = ActorId("b" * 32)


@dataclass(frozen=True, slots=True)
class Call:
    """A call to be made: its answer depends on what is granted."""

    interface: str
    function: str
    arguments: tuple[object, ...]


Allowed = Callable[[Grant, Call], object]
"""What a grant makes of a call; None where it is refused."""


def seen(call: Call, answer: object) -> SeenCall:
    return SeenCall(ACTOR, PARENT, call.interface, call.function, call.arguments, answer, FakeStepContext().now_us)


# -- each capability ---------------------------------------------------------------------------------------------------


REQUESTS = st.fixed_dictionaries(
    {
        "method": METHODS.filter(lambda method: method != "*"),
        "url": st.tuples(URLS | st.just("https://10.1.2.3/x"), st.sampled_from(["", "?q={{secret:A}}"])).map("".join),
        "headers": st.lists(st.sampled_from([("x", "{{secret:B}}"), ("y", "z")]), max_size=2),
        "body": st.none() | SIZES.map(lambda size: ("bytes", bytes(size))),
        "timeout-ms": st.none() | st.integers(0, 100_000),
        "max-redirects": st.none() | st.integers(0, 20),
        "max-response-bytes": st.none() | SIZES,
        "response-form": st.just("bytes"),
    }
)


def http_allowed(grant: Grant, call: Call) -> object:
    assert isinstance(grant, HttpClientGrant)
    [request] = call.arguments
    assert isinstance(request, dict)
    order = read_order(grant, request)  # type: ignore[arg-type]  # as it is in WIT
    return (order.method, order.url) if isinstance(order, Order) else None


PATHS = st.sampled_from(["", "x", "a/x", "ab/x", "b", "root/a/x", "a-2/y", "b-2"])
FILE_CALLS = st.one_of(
    st.builds(lambda name, path: (name, (path, "text")), st.sampled_from(["read", "stat", "list-directory"]), PATHS),
    st.builds(lambda path, size: ("write", (path, ("bytes", bytes(size)), "replace")), PATHS, SIZES),
    st.builds(lambda path, to: ("rename", (path, to)), PATHS, PATHS),
    st.builds(lambda path, to: ("copy", (path, to)), PATHS, PATHS),
).map(lambda found: Call("theater:actor/filesystem", *found))


def file_allowed(grant: Grant, call: Call) -> object:
    assert isinstance(grant, FilesystemGrant)
    paths = call.arguments[:2] if call.function in {"rename", "copy"} else call.arguments[:1]
    places = [place_of(grant, str(path)) for path in paths]
    if not all(isinstance(place, Place) for place in places):
        return None
    writes = {"write": [0], "rename": [0, 1], "copy": [1]}.get(call.function, [])
    found = []
    for index, place in enumerate(places):
        assert isinstance(place, Place)
        directory = place.directory
        if index in writes and (directory is None or not directory.can_write):
            return None
        listed = tuple(each.name for each in grant.directories) if directory is None else ()
        found.append((directory and directory.path, place.parts, listed))
    sizes = [len(value[1]) for value in call.arguments if isinstance(value, tuple)]
    return None if any(size > grant.call_bytes for size in sizes) else found


STORE_CALLS = st.builds(
    lambda name, space, size: Call(
        "theater:actor/store", name, (space, ("bytes", bytes(size))) if name == "put" else (space, "0" * 64)
    ),
    st.sampled_from(["get", "put", "remove"]),
    st.sampled_from(["self", "tree", "a", "b"]),
    SIZES,
)


def store_allowed(grant: Grant, call: Call) -> object:
    assert isinstance(grant, StoreGrant)
    space, what = call.arguments
    if grant.refusal(str(space), writes=call.function != "get") is not None:
        return None
    if isinstance(what, tuple):
        return digest_of(what[1]) if len(what[1]) <= min(grant.blob_bytes, grant.quota_bytes) else None
    return ()


KNOWN: Mapping[ActorId, tuple[str, tuple[Relation, ...]]] = {
    PARENT: ("a", ("parent",)),
    ActorId("c" * 32): ("b", ("children", "descendants")),
    ActorId("d" * 32): ("other", ("descendants",)),
    ActorId("e" * 32): ("b", ("siblings",)),
    ActorId("f" * 32): ("stranger", ()),
}
MESSAGE_CALLS = st.one_of(
    st.sampled_from(sorted(KNOWN)).map(lambda to: Call("theater:actor/messaging", "send", (to, "null"))),
    st.sampled_from(["a", "b", "other"]).map(lambda name: Call("theater:actor/messaging", "whereis", (name,))),
    st.just(Call("theater:actor/supervisor", "spawn", ({"source": ("manifest", "")},))),
    st.just(Call("theater:actor/supervisor", "list-children", (None,))),
)


def message_allowed(grant: Grant, call: Call) -> object:
    assert isinstance(grant, MessagingGrant)
    to = str(call.arguments[0])
    match call.function:
        case "send":
            name, relations = KNOWN[ActorId(to)]
            return "id" if grant.reaches(Acquaintance(ActorId(to), name, frozenset(relations))) else None
        case "whereis":
            return next(id for id, (name, _) in KNOWN.items() if name == to) if grant.knows(to) else None
        case "list-children":
            return [{"id": "c" * 32}]
    return "c" * 32


SUPERVISOR_CALLS = (FOLDERS | st.just("..")).map(
    lambda path: Call("theater:actor/supervisor", "spawn", ({"source": ("directory", path)},))
)


def supervisor_allowed(grant: Grant, call: Call) -> object:
    assert isinstance(grant, SupervisorGrant)
    [spec] = call.arguments
    assert isinstance(spec, dict)
    path = plain_path(spec["source"][1])
    return True if path is not None and grant.allows(path) else None


TIMES = st.integers(0, 400 * 24 * 3_600_000)
TIMING_CALLS = st.one_of(
    TIMES.map(lambda time: ("sleep", (time,))),
    TIMES.map(lambda time: ("sleep-until", ({"seconds": 1_700_000_000 + time // 1000, "nanoseconds": 5},))),
    st.tuples(TIMES, st.none() | TIMES).map(lambda two: ("schedule", ("null", ("after-ms", two[0]), two[1]))),
).map(lambda found: Call("theater:actor/timing", *found))


def timing_allowed(grant: Grant, call: Call) -> object:
    assert isinstance(grant, TimingGrant)
    ctx = FakeStepContext()
    match call.function:
        case "sleep":
            answer = timing.sleep(ctx, grant, *call.arguments)  # type: ignore[arg-type]  # as made above
        case "sleep-until":
            answer = timing.sleep_until(ctx, grant, *call.arguments)  # type: ignore[arg-type]  # as made above
        case _:
            _, due, repeat_ms = call.arguments
            after_us = timing.due_at(ctx, due)  # type: ignore[arg-type]  # as made above
            assert after_us is not None
            beyond = timing._beyond(grant, after_us=after_us - ctx.now_us, repeat_ms=repeat_ms)  # type: ignore[arg-type]  # as made above
            return "id" if beyond is None else None
    return None if isinstance(answer, Denied) else ()


RANDOM_CALLS = st.integers(0, 70_000).map(lambda length: Call("theater:actor/random", "random-bytes", (length,)))


def random_allowed(grant: Grant, call: Call) -> object:
    assert isinstance(grant, RandomGrant)
    answer = random.random_bytes(FakeStepContext(), grant, *call.arguments)  # type: ignore[arg-type]  # as made above
    return None if isinstance(answer, Denied) else ()


VARIABLE_CALLS = st.one_of(
    st.from_regex(r"[AB]{1,3}\*?", fullmatch=True).map(lambda name: Call("theater:actor/environment", "get", (name,))),
    st.just(Call("wasi:cli/environment", "get-environment", ())),
)


def variable_allowed(grant: Grant, call: Call) -> object:
    assert isinstance(grant, EnvironmentGrant)
    if call.function == "get-environment":
        return grant.allow
    answer = environment.get(FakeStepContext(), grant, *call.arguments)  # type: ignore[arg-type]  # as made above
    return None if isinstance(answer, Denied) else ()


PROGRAMS = st.sampled_from(["/a", "/b/c", "sort", "cut"])
PROCESS_CALLS = st.fixed_dictionaries(
    {
        "program": PROGRAMS,
        "arguments": st.just([]),
        "directory": st.none(),
        "environment": st.lists(st.sampled_from(["A", "B"]), max_size=2, unique=True).map(
            lambda names: [(name, "x") for name in names]
        ),
        "timeout-ms": st.none() | st.integers(0, 100_000),
        "output-form": st.just("text"),
    }
).map(lambda spec: Call("theater:actor/process", "run", (spec, None)))
PROCESS_GRANTS: st.SearchStrategy[Grant] = st.builds(
    ProcessGrant,
    st.lists(st.sampled_from(["/a", "/b/c", "sort=/a", "cut=/b/c"]), max_size=4).map(tuple),
    st.lists(st.sampled_from(["A", "B", "C"]), max_size=3).map(tuple),
    timeout_ms=st.integers(0, 100_000),
)


def process_allowed(grant: Grant, call: Call) -> object:
    assert isinstance(grant, ProcessGrant)
    order = read_process_order(grant, None, call.arguments[0])  # type: ignore[arg-type]  # as made above
    return order.path if isinstance(order, ProcessOrder) else None


CASES: Mapping[str, tuple[st.SearchStrategy[Call], Allowed, object]] = {
    "environment": (VARIABLE_CALLS, variable_allowed, ("denied", "line")),
    "filesystem": (FILE_CALLS, file_allowed, ("denied", "line")),
    "http-client": (
        REQUESTS.map(lambda it: Call("theater:actor/http-client", "send", (it,))),
        http_allowed,
        ("denied", "l"),
    ),
    "messaging": (MESSAGE_CALLS, message_allowed, ("denied", "line")),
    "process": (PROCESS_CALLS, process_allowed, ("denied", "line")),
    "random": (RANDOM_CALLS, random_allowed, ("too-large", 0)),
    "store": (STORE_CALLS, store_allowed, ("denied", "line")),
    "supervisor": (SUPERVISOR_CALLS, supervisor_allowed, ("denied", "line")),
    "timing": (TIMING_CALLS, timing_allowed, ("too-long", 0)),
}


def needs_of(name: str, call: Call, granted: Grant) -> set[Need]:
    least = EVERY[name].least
    assert least is not None
    _, allowed, refusal = CASES[name]
    found = allowed(granted, call)
    return set(least.needs(seen(call, ("err", refusal) if found is None else ("ok", found))))


HISTORIES = st.sampled_from(sorted(CASES)).flatmap(
    lambda name: st.tuples(
        st.just(name), PROCESS_GRANTS if name == "process" else GRANTS[name], st.lists(CASES[name][0], max_size=6)
    )
)


def test_a_guest_of_wasi_needs_the_directories_whose_files_it_opened() -> None:
    granted = FilesystemGrant(read=("/r",), write=("/w", "/x", "/y"))
    by_path = {directory.path: directory for directory in granted.directories}

    def opened(path: str, *flags: str) -> SeenCall:
        file = OpenFile(granted, by_path[path], (), "directory", frozenset({"read"}))
        arguments: tuple[object, ...] = (file, frozenset(), "x", frozenset(flags), frozenset({"read"}))
        return seen(Call("wasi:filesystem/types", "[method]descriptor.open-at", arguments), ("ok", 7))

    def least(*calls: SeenCall) -> FilesystemGrant:
        found = EVERY["filesystem"].least
        assert found is not None
        narrow = found.grant(granted, {need for call in calls for need in found.needs(call)})
        assert isinstance(narrow, FilesystemGrant)
        return narrow

    narrow = least(opened("/w", "create"), opened("/x"))

    assert (narrow.read, narrow.write) == (("/x",), ("/w",))
    assert narrow.call_bytes == 32 * 1024
    assert (least().read, least().write) == ((), ())


def test_a_program_that_is_run_in_a_directory_needs_it_as_it_was() -> None:
    granted = FilesystemGrant(read=("/r",), write=("/w",))
    found = EVERY["filesystem"].least
    assert found is not None
    call = seen(Call("theater:actor/process", "run", ({"directory": "w/sub"}, None)), ("ok", {}))

    narrow = found.grant(granted, set(found.needs(call)))

    assert isinstance(narrow, FilesystemGrant)
    assert (narrow.read, narrow.write) == (("/r",), ("/w",))


def test_a_guest_of_wasi_needs_the_places_that_it_waited_for() -> None:
    granted = HttpClientGrant(
        allow=(parse_allow("* https://a.b/"),), secrets=(parse_secret("A"), parse_secret("B")), request_bytes=5000
    )
    url = parse_url("https://a.b/v1/x?q={{secret:A}}")
    order = Order("GET", url, (), None, 1000, 0, 2**20, "bytes")
    future = FutureResponse(granted, order, None)
    call = Call("wasi:http/types", "[method]future-incoming-response.get", (future,))
    found = EVERY["http-client"].least
    assert found is not None

    narrow = found.grant(granted, set(found.needs(seen(call, None))))

    assert narrow == HttpClientGrant(
        allow=(parse_allow("GET https://a.b/v1/"),),
        secrets=(parse_secret("A https://a.b/v1/"),),
        request_bytes=1024,
        redirects=0,
    )


def test_every_capability_that_narrows_its_grant_is_looked_at() -> None:
    assert {name for name, capability in EVERY.items() if capability.least is not None} == CASES.keys()


@pytest.mark.slow
@given(HISTORIES)
def test_the_least_grant_allows_what_was_allowed_and_is_within_the_granted_one(
    history: tuple[str, Grant, list[Call]],
) -> None:
    name, granted, calls = history
    least = EVERY[name].least
    assert least is not None
    narrow = least.grant(granted, {need for call in calls for need in needs_of(name, call, granted)})

    assert narrow.lines(granted) == []
    assert narrow.narrowed(granted) == narrow
    assert EVERY[name].parse(narrow.table()) == narrow
    for call in calls:
        allowed = CASES[name][1]
        before = allowed(granted, call)
        assert before is None or allowed(narrow, call) == before


@pytest.mark.slow
@given(HISTORIES, st.integers(0, 6))
def test_what_more_calls_need_is_never_less(history: tuple[str, Grant, list[Call]], count: int) -> None:
    name, granted, calls = history
    least = EVERY[name].least
    assert least is not None
    every = [needs_of(name, call, granted) for call in calls]
    few: set[Need] = set().union(*every[:count])
    if name in {"messaging", "filesystem"}:  # where who somebody is, or where a path leads, is said by another call
        return

    assert least.grant(granted, few).lines(least.grant(granted, set().union(*every))) == []
