"""``tree``: how actors hang together, and how that is shown."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from tests.cli.conftest import Theater
from tests.cli.fake_client import detail
from theater.cli.session import Session
from theater.cli.tree import Branch, grown
from theater.errors import NotFound
from theater.model.ports import Status
from theater.model.wire import ActorDetail, ActorRow, EventRow, Failure, StateDocument

EVIL = "[red]\x1b[31m\u202e\nerror: fake"


def row(id: str, parent: str | None = None, **fields: object) -> ActorRow:
    known: dict[str, object] = {
        "name": f"actor-{id}",
        "status": "running",
        "seq": 1,
        "head": "0" * 64,
        "created": "2026-01-01T00:00:00.000000Z",
        "restarts": 0,
        "hidden_state": False,
        "waiting": 0,
    }
    return ActorRow(id=id * 32, parent=None if parent is None else parent * 32, **{**known, **fields})  # type: ignore[arg-type]  # of the fields' types


FAMILY = [
    row("a", name="shop", waiting=2),
    row("b", "a", name="till", restarts=1),
    row("c", "b", name="drawer", status="paused", restarts=2),
    row("d", "a", name="clerk", status="crashed"),
    row("e", name="other", hidden_state=True),
]


class Known:
    """A ``Reading`` of rows; each that crashed did so with hostile words."""

    def __init__(self, rows: list[ActorRow]) -> None:
        self.rows = rows
        self.asked = 0

    def actors(self, status: Status | None = None, parent: str | None = None) -> Iterator[ActorRow]:
        return iter(self.rows)

    def actor(self, id: str) -> ActorDetail:
        self.asked += 1
        for found in self.rows:
            if id in (found.id, found.name):
                failure = Failure(seq=1, time="", kind="crashed", reason="trap", message=f"first\n{EVIL}")
                return msgspec.structs.replace(detail(found), failure=failure)
        raise NotFound(f"no actor {id!r}")

    def state(self, id: str, at: int | None = None) -> StateDocument:
        raise NotFound("none")

    def events(self, id: str, start: int = 0, kind: str | None = None, limit: int | None = None) -> Iterator[EventRow]:
        return iter(())


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Known:
    reading = Known(list(FAMILY))

    @contextmanager
    def of(_session: Session) -> Iterator[Known]:
        yield reading

    monkeypatch.setattr(Session, "reading", of)
    return reading


def names(branches: list[Branch]) -> list[object]:
    return [[branch.row.name, names(branch.children)] if branch.children else branch.row.name for branch in branches]


def test_actors_hang_below_their_parents() -> None:
    assert names(grown(FAMILY)) == [["shop", [["till", ["drawer"]], "clerk"]], "other"]


def test_whoever_has_no_parent_here_is_a_root() -> None:
    assert names(grown([row("b", "a"), row("c", "b")])) == [["actor-b", ["actor-c"]]]


def test_nobody_is_lost_where_actors_say_that_they_are_below_each_other() -> None:
    branches = grown([row("a", "b"), row("b", "a"), row("c", "a"), row("d", "d")])

    assert names(branches) == [["actor-a", ["actor-c"]], "actor-b", "actor-d"]


@pytest.mark.usefixtures("known")
def test_a_tree_in_a_pipe_is_plain_text(theater: Theater) -> None:
    lines = theater("tree").out.splitlines()

    assert lines == [
        "shop  aaaaaaaa  running  2 waiting",
        "├── till  bbbbbbbb  running  1 restart",
        "│   └── drawer  cccccccc  paused  2 restarts",
        "└── clerk  dddddddd  crashed  trap: error: fake",
        "other  eeeeeeee  running, hidden state",
    ]


@pytest.mark.usefixtures("known")
def test_a_subtree(theater: Theater) -> None:
    assert theater("tree", "till").out.splitlines() == [
        "till  bbbbbbbb  running  1 restart",
        "└── drawer  cccccccc  paused  2 restarts",
    ]
    assert theater("tree", "nobody").code == 5


@pytest.mark.usefixtures("known")
def test_a_tree_as_a_document(theater: Theater) -> None:
    whole = theater("tree", "--json").rows
    (child,) = whole[0]["children"][0]["children"]  # type: ignore[index]  # a list of objects

    assert [item["name"] for item in whole] == ["shop", "other"]
    assert child == {"id": "c" * 32, "name": "drawer", "status": "paused", "restarts": 2, "children": []}
    assert theater("tree", "drawer", "--json").table == child


def test_the_reason_is_asked_for_of_so_many_and_no_more(
    theater: Theater, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("theater.cli.tree.FAILURES_MAX", 3)
    known.rows = [row(digit, status="crashed") for digit in "123456"]

    assert theater("tree").out.count("trap") == 3
    assert known.asked == 3


def test_an_actor_that_was_removed_meanwhile_has_no_reason(
    theater: Theater, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(id: str) -> ActorDetail:
        raise NotFound(id)

    monkeypatch.setattr(known, "actor", gone)

    assert "clerk  dddddddd  crashed\n" in theater("tree").out


def test_what_a_guest_said_last_comes_out_safely(theater: Theater, known: Known) -> None:
    known.rows = [row("a", status="crashed", name=EVIL)]

    shown = theater("tree").out

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert len(shown.splitlines()) == 1
