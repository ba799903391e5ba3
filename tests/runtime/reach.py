"""What grants reach, in a small world in which everything can be tried: how they say that they compare is not asked.

A capability of its own has a table in ``TABLES`` and a case in ``_reach``; a test says so.
"""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Iterator, Mapping
from itertools import chain, combinations, product

from hypothesis import strategies as st

from theater.capabilities.environment import EnvironmentGrant
from theater.capabilities.filesystem_grant import FilesystemGrant
from theater.capabilities.http_client_grant import HttpClientGrant
from theater.capabilities.http_server_grant import HttpServerGrant
from theater.capabilities.http_url import parse_url
from theater.capabilities.messaging_grant import RELATIVES, MessagingGrant
from theater.capabilities.process_grant import ProcessGrant
from theater.capabilities.random import RandomGrant
from theater.capabilities.registry import built_in
from theater.capabilities.runtime import RuntimeGrant
from theater.capabilities.store_grant import StoreGrant
from theater.capabilities.supervisor_grant import SupervisorGrant
from theater.capabilities.timing import TimingGrant
from theater.capabilities.wasi_world import WasiGrant
from theater.model.actor_system import Acquaintance, Relation
from theater.model.capability import Grant
from theater.model.ids import ActorId
from theater.runtime.permissions import Grants

Tables = dict[str, dict[str, object]]
Reach = Iterator[tuple[object, ...]]

_RELATIONS: tuple[Relation, ...] = ("parent", "children", "siblings", "descendants")
_SOMEBODY = ActorId("0" * 32)
_NAMES = ("anna", "bert")
_VARIABLES = ("LANG", "LC_ALL", "HOME")
_PATHS = ("/srv", "/srv/a", "/srv/a/b", "/srvx", "/etc")
_SPACES = ("self", "tree", "letters")
_URLS = ("https://a.b/", "https://a.b/v1", "https://a.b/v1/x", "https://a.b/v10", "http://a.b/v1", "https://c.d:81/v1")
_ADDRESSES = tuple(map(ipaddress.ip_address, ("10.1.2.3", "10.2.0.1", "127.0.0.1", "::1", "8.8.8.8")))
_PRIVATE = ("a.b", "a.b:443", "c.d:81", "10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8:81", "127.0.0.1", "::1")
_SECRETS = ("KEY", "OTHER")
_PROGRAMS = ("/bin/a", "/bin/b", "a=/bin/a", "b=/bin/b", "c=/bin/a")
_LISTEN = ("127.0.0.1:0", "127.0.0.1:80", "127.0.0.1:80-90", "127.0.0.1:85-95", "127.0.0.1:*", "[::1]:80", "0.0.0.0:80")
_SIZES = ("0", "1KiB", "64KiB", "1MiB")


def _table(**keys: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """A table with some of these keys."""
    return st.fixed_dictionaries({}, optional={key.replace("_", "-"): value for key, value in keys.items()})


def _some(*items: str) -> st.SearchStrategy[object]:
    return st.lists(st.sampled_from(items), max_size=4)


_EVERY = built_in().capabilities
TABLES: Mapping[str, st.SearchStrategy[dict[str, object]]] = {
    **{name: st.just({}) for name in _EVERY if name.startswith("wasi-")},
    "environment": _table(allow=_some("LANG", "L*", "LC_*", "*")),
    "filesystem": _table(
        read=_some("/", *_PATHS), write=_some(*_PATHS), call=st.sampled_from(_SIZES), quota=st.sampled_from(_SIZES)
    ),
    "http-client": _table(
        allow=_some(*(f"{method} {url}" for method, url in product(("GET", "POST", "*"), _URLS))),
        private=_some(*_PRIVATE),
        secrets=_some(*_SECRETS, *(f"{name} {url}" for name, url in product(_SECRETS, _URLS))),
        request_size=st.sampled_from(_SIZES),
        response_size=st.sampled_from(_SIZES),
        timeout=st.sampled_from(["0s", "1s", "60s"]),
        redirects=st.integers(0, 20),
    ),
    "http-server": _table(
        listen=_some(*_LISTEN),
        tls=_some("house", "garden"),
        servers=st.integers(0, 64),
        routes=st.sampled_from([0, 10, 1000]),
        connections=st.sampled_from([0, 10, 1000]),
        request=st.sampled_from(_SIZES),
        message=st.sampled_from(_SIZES),
        response_timeout=st.sampled_from(["0s", "1s", "60s"]),
    ),
    "messaging": _table(to=_some(*RELATIVES, "any", *(f"name:{name}" for name in _NAMES))),
    "process": _table(
        allow=_some(*_PROGRAMS),
        environment=_some(*_VARIABLES),
        processes=st.integers(0, 64),
        timeout=st.sampled_from(["0s", "1s", "60s"]),
        input=st.sampled_from(_SIZES),
        output=st.sampled_from(_SIZES),
        memory=st.sampled_from(["64MiB", "1GiB"]),
        cpu_time=st.sampled_from(["1s", "60s"]),
        files=st.sampled_from([16, 1000]),
        file_size=st.sampled_from(_SIZES),
    ),
    "random": _table(bytes=st.sampled_from(_SIZES[:3])),
    "runtime": _table(log=st.sampled_from(["1KiB", "64KiB"])),
    "store": _table(
        space=_some(*_SPACES), read=_some(*_SPACES), quota=st.sampled_from(_SIZES), blob=st.sampled_from(_SIZES)
    ),
    "supervisor": _table(directories=_some(*_PATHS)),
    "timing": _table(
        sleep=st.sampled_from(["0s", "1s", "5s", "60s"]),
        schedule=st.sampled_from(["0s", "1h", "365d"]),
        repeat=st.sampled_from(["100ms", "1s", "1h"]),
    ),
}
"""What may stand in a manifest, by capability: few words, so that parent and child often mean the same."""


def reach(grants: Grants) -> Iterator[object]:
    """Everything, of the small world, that these grants allow."""
    for name, grant in grants.items():
        if _EVERY[name].ungranted is None:  # else everybody has it, asked for or not
            yield name
        yield from _reach(grant)


def _reach(grant: Grant) -> Reach:
    match grant:
        case MessagingGrant():
            yield from _of_messaging(grant)
        case SupervisorGrant():
            yield from (("directory", path) for path in _PATHS if grant.allows(path))
        case TimingGrant():
            for ms in (0, 50, 100, 1000, 5000, 60_000, 3_600_000):
                yield from (("sleep", ms),) * (ms <= grant.sleep_ms)
                yield from (("schedule", ms),) * (ms <= grant.schedule_ms)
                yield from (("repeat", ms),) * (ms >= grant.repeat_ms)
        case EnvironmentGrant():
            yield from (("variable", name) for name in _VARIABLES if grant.allows(name))
        case RandomGrant():
            yield from _up_to("random", grant.call_bytes)
        case RuntimeGrant():
            yield from _up_to("log", grant.log_bytes)
        case StoreGrant():
            for space, writes in product(_SPACES, (True, False)):
                yield from (("space", space, writes),) * (grant.refusal(space, writes=writes) is None)
            yield from _up_to("quota", grant.quota_bytes)
            yield from _up_to("blob", grant.blob_bytes)
        case FilesystemGrant():
            yield from _of_files(grant)
        case HttpClientGrant():
            yield from _of_http(grant)
        case HttpServerGrant():
            yield from _of_serving(grant)
        case ProcessGrant():
            yield from _of_programs(grant)
        case WasiGrant():
            return
        case _:
            raise AssertionError(f"say above what {grant} reaches")


def _up_to(what: str, most: int) -> Reach:
    return ((what, size) for size in (1, 2**10, 2**16, 2**20, 2**23, 2**26, 2**30) if size <= most)


def _of_messaging(grant: MessagingGrant) -> Reach:
    for name in (*_NAMES, "other"):
        if grant.knows(name):
            yield ("whereis", name)
        for relations in _kinships():
            if grant.reaches(Acquaintance(_SOMEBODY, name, frozenset[Relation](relations))):
                yield ("message", name, frozenset(relations))


def _of_files(grant: FilesystemGrant) -> Reach:
    for path in _PATHS:
        above = {path, *_above(path)}
        holding = [each for each in grant.directories if each.path in above]
        yield from (("read", path),) * bool(holding)
        yield from (("write", path),) * any(each.can_write for each in holding)
    yield from _up_to("file", grant.call_bytes)
    yield from _up_to("files", grant.quota_bytes)


def _above(path: str) -> Iterator[str]:
    while path != "/":
        path = posixpath.dirname(path)
        yield path


def _of_http(grant: HttpClientGrant) -> Reach:
    for text in _URLS:
        url = parse_url(text)
        yield from (("http", each, text) for each in ("GET", "POST") if grant.missing(each, url) is None)
        yield from (("address", text, each) for each in _ADDRESSES if grant.missing_private(url, each) is None)
        yield from (("secret", each, text) for each in _SECRETS if grant.missing_secret(each, url) is None)
    yield from _within(grant.sizes())


def _of_serving(grant: HttpServerGrant) -> Reach:
    for address, port in product(("127.0.0.1", "::1", "0.0.0.0"), (0, 79, 80, 85, 90, 95, 96)):
        yield from (("listen", address, port),) * (grant.missing(address, port) is None)
    yield from (("certificate", name) for name in grant.tls)
    sizes = {name: getattr(grant, name) for name in ("servers", "routes", "connections", "request_bytes")}
    yield from _within(sizes | {name: getattr(grant, name) for name in ("message_bytes", "timeout_ms")})


def _of_programs(grant: ProcessGrant) -> Reach:
    for program in ("/bin/a", "/bin/b", "a", "b", "c"):
        yield from (("program", path) for path in [grant.path_of(program)] if path is not None)
    yield from (("variable of a program", name) for name in grant.environment)
    yield from _within(grant.numbers())


def _within(most: Mapping[str, int]) -> Reach:
    for key, value in most.items():
        yield from ((key, size) for size in (1, 5, 10, 1000, 2**10, 60_000, 2**20, 2**23, 2**30) if size <= value)


def _kinships() -> Iterator[tuple[Relation, ...]]:
    """What one actor can be to another. Who is a child is a descendant."""
    subsets = chain.from_iterable(combinations(_RELATIONS, size) for size in range(len(_RELATIONS) + 1))
    return (each for each in subsets if "children" not in each or "descendants" in each)
