"""What holds for the grant of every capability: it reads what it writes, and narrowing never gives more."""

import tomllib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater.capabilities.environment import EnvironmentGrant
from theater.capabilities.filesystem_grant import CALL_MAX_BYTES as CALL_LIMIT_BYTES
from theater.capabilities.filesystem_grant import QUOTA_MAX_BYTES, FilesystemGrant
from theater.capabilities.http_client_grant import BODY_MAX_BYTES, REDIRECTS_MAX, TIMEOUT_MAX_MS, HttpClientGrant
from theater.capabilities.http_rules import parse_allow, parse_private, parse_secret
from theater.capabilities.http_server_grant import BODY_MAX_BYTES as SERVER_BODY_MAX_BYTES
from theater.capabilities.http_server_grant import CONNECTIONS_MAX, ROUTES_MAX, SERVERS_MAX, HttpServerGrant
from theater.capabilities.http_server_grant import TIMEOUT_MAX_MS as SERVER_TIMEOUT_MAX_MS
from theater.capabilities.http_server_listen import parse_listen
from theater.capabilities.messaging_grant import MessagingGrant
from theater.capabilities.process_grant import (
    CPU_MAX_S,
    FILE_MAX_BYTES,
    FILES_MAX,
    FILES_MIN,
    IO_MAX_BYTES,
    MEMORY_MAX_BYTES,
    MEMORY_MIN_BYTES,
    PROCESSES_MAX,
    ProcessGrant,
)
from theater.capabilities.process_grant import TIMEOUT_MAX_MS as PROCESS_TIMEOUT_MAX_MS
from theater.capabilities.random import CALL_MAX_BYTES, RandomGrant
from theater.capabilities.registry import built_in
from theater.capabilities.runtime import LOG_MAX_BYTES, LOG_MIN_BYTES, RuntimeGrant
from theater.capabilities.store_grant import BLOB_MAX_BYTES, StoreGrant
from theater.capabilities.store_grant import QUOTA_MAX_BYTES as STORE_QUOTA_MAX_BYTES
from theater.capabilities.supervisor_grant import SupervisorGrant
from theater.capabilities.timing import REPEAT_MIN_MS, SCHEDULE_MAX_MS, SLEEP_MAX_MS, TimingGrant
from theater.capabilities.wasi_world import EMPTY_WORLD
from theater.model.capability import Grant

EVERY = built_in().capabilities

# Few letters, so that names and beginnings of names meet.
PATTERNS = st.from_regex(r"[AB]{1,3}\*?|\*", fullmatch=True) | st.text(
    st.characters(exclude_characters="=\0*", exclude_categories=["Cs"]), min_size=1, max_size=9
)
WORDS = st.sampled_from(["parent", "children", "siblings", "descendants", "any", "name:a", "name:b"])
SPACES = st.sampled_from(["self", "tree", "a", "b"])
FOLDERS = st.from_regex(r"(?:/[ab]{1,2}){1,3}|/", fullmatch=True)

METHODS = st.sampled_from(["GET", "POST", "*"])
URLS = st.sampled_from(
    ["https://a.b/", "https://a.b/v1", "https://a.b/v1/", "https://a.b/v1/x", "http://a.b/", "https://c.d:81/"]
)
PRIVATE = st.sampled_from(
    ["a.b", "a.b:443", "10.0.0.0/8", "10.0.0.0/8:443", "10.1.0.0/16", "10.1.2.3:443", "::1", "fc00::/7", "[fc00::/8]:1"]
)
SECRETS = st.tuples(st.sampled_from(["A", "B"]), st.none() | URLS).map(lambda pair: " ".join(filter(None, pair)))
HTTP: st.SearchStrategy[Grant] = st.builds(
    HttpClientGrant,
    st.lists(st.tuples(METHODS, URLS), max_size=4).map(
        lambda rules: tuple(parse_allow(" ".join(rule)) for rule in rules)
    ),
    st.lists(PRIVATE, max_size=4).map(lambda items: tuple(map(parse_private, items))),
    st.lists(SECRETS, max_size=4).map(lambda items: tuple(map(parse_secret, items))),
    st.integers(0, BODY_MAX_BYTES),
    st.integers(0, BODY_MAX_BYTES),
    st.integers(0, TIMEOUT_MAX_MS),
    st.integers(0, REDIRECTS_MAX),
)

LISTEN = st.sampled_from(
    ["127.0.0.1:0", "127.0.0.1:80", "127.0.0.1:80-90", "127.0.0.1:85-95", "127.0.0.1:*", "[::1]:80", "0.0.0.0:80"]
)
PROCESS: st.SearchStrategy[Grant] = st.builds(
    ProcessGrant,
    st.lists(st.sampled_from(["/a", "/b", "/a/b", "x=/a", "y=/b", "z=/a/b"]), max_size=4).map(tuple),
    st.lists(st.sampled_from(["A", "B", "C_D"]), max_size=3).map(tuple),
    st.integers(0, PROCESSES_MAX),
    st.integers(0, PROCESS_TIMEOUT_MAX_MS),
    st.integers(0, IO_MAX_BYTES),
    st.integers(0, IO_MAX_BYTES),
    st.integers(MEMORY_MIN_BYTES, MEMORY_MAX_BYTES),
    st.integers(1, CPU_MAX_S),
    st.integers(FILES_MIN, FILES_MAX),
    st.integers(0, FILE_MAX_BYTES),
)
SERVER: st.SearchStrategy[Grant] = st.builds(
    HttpServerGrant,
    st.lists(LISTEN, max_size=4).map(lambda items: tuple(map(parse_listen, items))),
    st.lists(st.sampled_from(["a", "b"]), max_size=2).map(tuple),
    st.integers(0, SERVERS_MAX),
    st.integers(0, ROUTES_MAX),
    st.integers(0, CONNECTIONS_MAX),
    st.integers(0, SERVER_BODY_MAX_BYTES),
    st.integers(0, SERVER_BODY_MAX_BYTES),
    st.integers(0, SERVER_TIMEOUT_MAX_MS),
)

WASI: dict[str, st.SearchStrategy[Grant]] = {name: st.just(EMPTY_WORLD) for name in EVERY if name.startswith("wasi-")}
GRANTS: dict[str, st.SearchStrategy[Grant]] = WASI | {
    "environment": st.lists(PATTERNS, max_size=6).map(lambda allow: EnvironmentGrant(tuple(allow))),
    "filesystem": st.builds(
        FilesystemGrant,
        st.lists(FOLDERS, max_size=4).map(tuple),
        st.lists(FOLDERS, max_size=4).map(tuple),
        st.integers(0, CALL_LIMIT_BYTES),
        st.integers(0, QUOTA_MAX_BYTES),
    ),
    "http-client": HTTP,
    "http-server": SERVER,
    "messaging": st.lists(WORDS, max_size=4).map(lambda to: MessagingGrant(tuple(to))),
    "process": PROCESS,
    "random": st.integers(0, CALL_MAX_BYTES).map(RandomGrant),
    "runtime": st.integers(LOG_MIN_BYTES, LOG_MAX_BYTES).map(RuntimeGrant),
    "store": st.builds(
        StoreGrant,
        st.lists(SPACES, max_size=3).map(tuple),
        st.lists(SPACES, max_size=3).map(tuple),
        st.integers(0, STORE_QUOTA_MAX_BYTES),
        st.integers(0, BLOB_MAX_BYTES),
    ),
    "supervisor": st.lists(FOLDERS, max_size=4).map(lambda paths: SupervisorGrant(tuple(paths))),
    "timing": st.builds(
        TimingGrant,
        st.integers(0, SLEEP_MAX_MS),
        st.integers(0, SCHEDULE_MAX_MS),
        st.integers(REPEAT_MIN_MS, SCHEDULE_MAX_MS),
    ),
}


def grants(count: int) -> st.SearchStrategy[tuple[str, list[Grant]]]:
    """The name of a capability, and grants of it."""
    return st.sampled_from(sorted(GRANTS)).flatmap(
        lambda name: st.tuples(st.just(name), st.lists(GRANTS[name], min_size=count, max_size=count))
    )


def test_every_capability_is_looked_at() -> None:
    assert GRANTS.keys() == EVERY.keys()


@given(grants(1))
@pytest.mark.slow
def test_a_grant_reads_the_table_that_it_writes(found: tuple[str, list[Grant]]) -> None:
    name, [grant] = found

    assert EVERY[name].parse(grant.table()) == grant


@given(grants(1))
def test_a_grant_asks_for_nothing_beyond_itself(found: tuple[str, list[Grant]]) -> None:
    _, [grant] = found

    assert grant.lines(grant) == []
    assert grant.narrowed(grant) == grant


@given(grants(2))
@pytest.mark.slow
def test_a_narrowed_grant_is_within_both(found: tuple[str, list[Grant]]) -> None:
    _, [asked, ceiling] = found
    narrowed = asked.narrowed(ceiling)

    assert narrowed.lines(ceiling) == []
    assert narrowed.lines(asked) == []


@given(grants(2))
@pytest.mark.slow
def test_narrowing_twice_is_narrowing_once_and_the_order_does_not_matter(found: tuple[str, list[Grant]]) -> None:
    _, [asked, ceiling] = found
    narrowed = asked.narrowed(ceiling)

    assert narrowed.narrowed(ceiling) == narrowed
    assert ceiling.narrowed(asked) == narrowed


@given(grants(2))
def test_narrowing_takes_nothing_that_both_allow(found: tuple[str, list[Grant]]) -> None:
    _, [asked, ceiling] = found

    if not asked.lines(ceiling):
        assert asked.narrowed(ceiling) == asked


@given(grants(3))
def test_a_grandchild_is_within_its_grandparent(found: tuple[str, list[Grant]]) -> None:
    _, [asked, parent, grandparent] = found

    assert asked.narrowed(parent.narrowed(grandparent)).lines(grandparent) == []


@given(grants(1))
def test_each_line_asked_for_is_one_of_a_manifest_and_together_they_ask_for_all(found: tuple[str, list[Grant]]) -> None:
    name, [grant] = found
    whole: dict[str, object] = {}
    for line in grant.lines(None):
        for key, value in tomllib.loads(line).items() if not line.startswith("[") else ():
            known = whole.get(key)
            whole[key] = [*known, *value] if isinstance(known, list) else value

    if whole:
        assert EVERY[name].parse(whole) == grant
    elif grant.lines(None):
        assert EVERY[name].parse({}) == grant


@given(grants(2))
def test_a_line_goes_beyond_a_ceiling_that_does_not_allow_it(found: tuple[str, list[Grant]]) -> None:
    name, [asked, ceiling] = found

    for line in asked.lines(ceiling):
        alone = EVERY[name].parse(dict(ceiling.table()) | tomllib.loads(line))
        assert alone.lines(ceiling) == [line]


@given(grants(1))
def test_a_grant_that_asks_for_nothing_needs_no_ceiling(found: tuple[str, list[Grant]]) -> None:
    _, [grant] = found

    assert grant.lines(None) or grant.narrowed(None) == grant


@given(st.lists(PATTERNS, max_size=6), st.lists(PATTERNS, max_size=6), st.text("AB", min_size=1, max_size=4))
def test_a_variable_is_allowed_by_the_narrowed_grant_if_and_only_if_both_allow_it(
    asked: list[str], ceiling: list[str], name: str
) -> None:
    left, right = EnvironmentGrant(tuple(asked)), EnvironmentGrant(tuple(ceiling))

    assert left.narrowed(right).allows(name) == (left.allows(name) and right.allows(name))


@pytest.mark.parametrize("name", sorted(EVERY))
def test_an_empty_table_gives_the_defaults(name: str) -> None:
    parse: Callable[[dict[str, object]], Grant] = EVERY[name].parse

    assert parse({}) == parse(dict(parse({}).table()))
