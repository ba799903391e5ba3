"""Blobs and labels: what may be called, what comes of it in the step, and every limit."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.capabilities.neighbours import Neighbours, call, error_of, function_of, is_ok
from theater.capabilities import store as capability
from theater.capabilities.store import LABEL_MAX_BYTES, PAGE_MAX, digest_of
from theater.capabilities.store_grant import (
    BLOB_DEFAULT_BYTES,
    BLOB_MAX_BYTES,
    QUOTA_DEFAULT_BYTES,
    QUOTA_MAX_BYTES,
    StoreGrant,
    parse,
)
from theater.errors import InvalidManifest, StoreError
from theater.model.capability import Denied
from theater.model.effects import PutBlob, RemoveBlob, RemoveLabel, SetLabel
from theater.runtime.directory import Directory
from theater.runtime.own_spaces import OwnSpaces
from theater.runtime.spaces import Spaces
from theater.store.memory import MemoryEventStore
from theater.testing.step_context import ACTOR, FakeStepContext

GRANT = StoreGrant()
ABC, EMPTY, NONE = digest_of(b"abc"), digest_of(b""), digest_of(b"nobody ever put this")
OK = ("ok", None)
EVERY_CALL: dict[str, tuple[object, ...]] = {
    "put": (("text", "abc"),),
    "get": (ABC, "text"),
    "get-range": (ABC, 0, 1, "text"),
    "exists": (ABC,),
    "size": (ABC,),
    "remove": (ABC,),
    "put-at-label": ("a", ("text", "abc")),
    "set-label": ("a", ABC),
    "get-label": ("a",),
    "remove-label": ("a",),
    "list-labels": ("", None, 10),
    "list-blobs": (None, 10),
    "usage-of": (),
}
WRITES = ("put", "remove", "put-at-label", "set-label", "remove-label")


@pytest.fixture
def ctx() -> Iterator[FakeStepContext]:
    """A step of an actor whose spaces are empty."""
    store = MemoryEventStore()
    neighbours = Neighbours()
    ctx = FakeStepContext(system=neighbours)
    neighbours.spaces = OwnSpaces(Spaces(store, Directory()), ACTOR, ctx.effects)
    yield ctx
    store.close()


def ask(ctx: FakeStepContext, name: str, *arguments: object, space: str = "self", grant: StoreGrant = GRANT) -> object:
    return call(f"store#{name}", ctx, grant, space, *arguments)


def put(ctx: FakeStepContext, text: str, grant: StoreGrant = GRANT) -> str:
    answer = ask(ctx, "put", ("text", text), grant=grant)
    assert is_ok(answer), answer
    assert isinstance(answer, tuple)
    return str(answer[1])


def usage(ctx: FakeStepContext) -> tuple[int, int, int]:
    match ask(ctx, "usage-of"):
        case ("ok", {"used-bytes": int(used), "blobs": int(blobs), "labels": int(labels)}):
            return used, blobs, labels
    raise AssertionError


# -- what comes of a call ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [("text", "abc"), ("base64", "YWJj"), ("bytes", b"abc")])
def test_a_blob_is_known_by_its_bytes_whatever_their_form(ctx: FakeStepContext, content: tuple[str, object]) -> None:
    assert ask(ctx, "put", content) == ("ok", ABC)
    assert ctx.effects == [PutBlob("self", ABC, b"abc")]
    assert ask(ctx, "exists", ABC) == ("ok", True)
    assert ask(ctx, "size", ABC) == ("ok", 3)
    assert usage(ctx) == (3, 1, 0)


@pytest.mark.parametrize(
    ("data", "form", "content"),
    [
        (b"abc", "automatic", ("text", "abc")),
        (b"\xff", "automatic", ("base64", "/w==")),
        ("ü".encode(), "text", ("text", "ü")),
        (b"abc", "base64", ("base64", "YWJj")),
        (b"abc", "bytes", ("bytes", b"abc")),
        (b"", "text", ("text", "")),
    ],
)
def test_content_comes_in_the_form_that_is_asked_for(
    ctx: FakeStepContext, data: bytes, form: str, content: tuple[str, object]
) -> None:
    ask(ctx, "put", ("bytes", data))

    assert ask(ctx, "get", digest_of(data), form) == ("ok", content)


def test_bytes_that_are_not_text_are_not_given_as_text(ctx: FakeStepContext) -> None:
    ask(ctx, "put", ("bytes", b"\xff"))

    assert ask(ctx, "get", digest_of(b"\xff"), "text") == ("err", ("not-text", None))
    assert ask(ctx, "get-range", digest_of(b"\xff"), 0, 1, "text") == ("err", ("not-text", None))


@pytest.mark.parametrize(
    ("offset", "length", "text"),
    [(0, 3, "abc"), (1, 1, "b"), (1, 2**64 - 1, "bc"), (3, 1, ""), (2**64 - 1, 2**64 - 1, ""), (0, 0, "")],
)
def test_a_part_ends_where_the_blob_does(ctx: FakeStepContext, offset: int, length: int, text: str) -> None:
    put(ctx, "abc")

    assert ask(ctx, "get-range", ABC, offset, length, "text") == ("ok", ("text", text))


def test_a_label_names_a_blob_until_it_names_another(ctx: FakeStepContext) -> None:
    assert ask(ctx, "get-label", "a") == ("ok", None)
    assert ask(ctx, "put-at-label", "a", ("text", "abc")) == ("ok", ABC)
    assert ask(ctx, "get-label", "a") == ("ok", ABC)
    other = put(ctx, "other")
    assert ask(ctx, "set-label", "a", other) == OK

    assert ask(ctx, "get-label", "a") == ("ok", other)
    assert usage(ctx) == (8, 2, 1)
    assert ctx.effects[1:] == [
        SetLabel("self", "a", ABC),
        PutBlob("self", digest_of(b"other"), b"other"),
        SetLabel("self", "a", digest_of(b"other")),
    ]


def test_a_blob_with_a_label_is_not_removed(ctx: FakeStepContext) -> None:
    ask(ctx, "put-at-label", "a", ("text", "abc"))

    assert ask(ctx, "remove", ABC) == ("err", ("labelled", "a"))
    assert ask(ctx, "remove-label", "a") == OK
    assert ask(ctx, "remove", ABC) == OK
    assert ask(ctx, "exists", ABC) == ("ok", False)
    assert usage(ctx) == (0, 0, 0)
    assert ctx.effects[2:] == [RemoveLabel("self", "a"), RemoveBlob("self", ABC)]


def test_what_is_not_there_is_said_to_be_not_there(ctx: FakeStepContext) -> None:
    assert ask(ctx, "get", NONE, "text") == ("err", ("not-found", NONE))
    assert ask(ctx, "get-range", NONE, 0, 1, "text") == ("err", ("not-found", NONE))
    assert ask(ctx, "size", NONE) == ("err", ("not-found", NONE))
    assert ask(ctx, "remove", NONE) == ("err", ("not-found", NONE))
    assert ask(ctx, "set-label", "a", NONE) == ("err", ("not-found", NONE))
    assert ask(ctx, "remove-label", "a") == ("err", ("unknown-label", "a"))
    assert ask(ctx, "exists", NONE) == ("ok", False)
    assert ctx.effects == []


def test_labels_are_listed_by_their_bytes_page_by_page(ctx: FakeStepContext) -> None:
    names = ["b", "a/1", "a", "ü", "a/2", "\U0001f600", "\uffff"]
    for name in names:
        ask(ctx, "put-at-label", name, ("text", "abc"))

    def listed(prefix: str, after: str | None, limit: int) -> list[str]:
        answer = ask(ctx, "list-labels", prefix, after, limit)
        assert isinstance(answer, tuple)
        assert all(each["blob"] == ABC for each in answer[1])
        return [each["name"] for each in answer[1]]

    everything = sorted(names, key=str.encode)
    assert listed("", None, 100) == everything
    assert listed("", None, 2) == everything[:2]
    assert listed("", everything[1], 2) == everything[2:4]
    assert listed("", everything[-1], 2) == []
    assert listed("a/", None, 10) == ["a/1", "a/2"]
    assert listed("a/", "a/1", 10) == ["a/2"]
    assert listed("a/", "b", 10) == []
    assert listed("b", "a", 10) == ["b"]
    assert listed("", None, 0) == []


def test_blobs_are_listed_by_digest(ctx: FakeStepContext) -> None:
    digests = sorted(put(ctx, text) for text in ("", "a", "ab", "abc"))

    answer = ask(ctx, "list-blobs", None, 3)
    assert isinstance(answer, tuple)
    assert [each["digest"] for each in answer[1]] == digests[:3]
    assert {each["digest"]: each["size-bytes"] for each in answer[1]}.items() <= {
        digest_of(text): len(text) for text in (b"", b"a", b"ab", b"abc")
    }.items()
    assert ask(ctx, "list-blobs", digests[3], 3) == ("ok", [])


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY_CALL)
def test_a_space_that_was_not_granted_is_denied_and_nobody_is_asked_for_it(name: str) -> None:
    nobody = FakeStepContext()

    for space in ("tree", "other", "", "../self", "self/", "SELF"):
        outcome = function_of(f"store#{name}").run(nobody, GRANT, space, *EVERY_CALL[name])
        assert outcome == Denied(("err", ("denied", 'only space = ["self"] is granted')))


@pytest.mark.parametrize("name", EVERY_CALL)
def test_a_space_to_read_is_read_and_not_written(ctx: FakeStepContext, name: str) -> None:
    grant = parse({"read": ["catalog"]})

    answer = ask(ctx, name, *EVERY_CALL[name], space="catalog", grant=grant)
    said = answer == ("err", ("denied", 'only space = ["self"], read = ["catalog"] is granted'))
    assert said == (name in WRITES)


@pytest.mark.parametrize(
    "digest",
    ["", "abc", ABC.upper(), ABC[:-1], ABC + "0", f"../{ABC}", f"{ABC}\n", "g" * 64, "/etc/passwd", "\uff10" * 64],
)
def test_what_is_no_digest_leads_nowhere(ctx: FakeStepContext, digest: str) -> None:
    put(ctx, "abc")
    for name, arguments in (
        ("get", (digest, "text")),
        ("get-range", (digest, 0, 1, "text")),
        ("exists", (digest,)),
        ("size", (digest,)),
        ("remove", (digest,)),
        ("set-label", ("a", digest)),
        ("list-blobs", (digest, 1)),
    ):
        assert ask(ctx, name, *arguments) == ("err", ("invalid-digest", None))


@pytest.mark.parametrize("label", ["", "a\x00", "a\n", "\x7f", "\x85", "x" * 256, "ü" * 128])
def test_what_is_no_label_is_refused(ctx: FakeStepContext, label: str) -> None:
    put(ctx, "abc")
    for name, arguments in (
        ("put-at-label", (label, ("text", "abc"))),
        ("set-label", (label, ABC)),
        ("get-label", (label,)),
        ("remove-label", (label,)),
    ):
        assert ask(ctx, name, *arguments) == ("err", ("invalid-label", None))
    assert len(ctx.effects) == 1


@pytest.mark.parametrize("label", ["../../etc/passwd", "/", ".", "..", "a\\b", "%", "'; DROP TABLE labels", "ü" * 127])
def test_a_label_may_say_anything_and_is_nothing_but_a_name(ctx: FakeStepContext, label: str) -> None:
    assert ask(ctx, "put-at-label", label, ("text", "abc")) == ("ok", ABC)
    assert ask(ctx, "get-label", label) == ("ok", ABC)


@pytest.mark.parametrize("text", ["A", "YWJj\n", "YW Jj", "YWJj=", "Y_Jj", "ü", "YWJj===="])
def test_what_is_not_base64_is_refused(ctx: FakeStepContext, text: str) -> None:
    assert ask(ctx, "put", ("base64", text)) == ("err", ("invalid-content", None))


def test_a_forged_record_of_another_digest_is_no_record(ctx: FakeStepContext) -> None:
    with pytest.raises(ValueError, match="not that of what was put"):
        capability.act_put(ctx, ("ok", NONE), "self", ("text", "abc"))
    with pytest.raises(ValueError, match="not that of what was put"):
        capability.act_put_at_label(ctx, ("ok", ABC), "self", "a", ("base64", "!"))
    assert ctx.effects == []


def test_a_failure_of_the_disk_is_told(ctx: FakeStepContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(MemoryEventStore, "read_space", fail)
    assert ask(ctx, "exists", ABC) == ("err", ("io", "the disk is gone"))


# -- limits ------------------------------------------------------------------------------------------------------------


def test_a_blob_may_be_as_large_as_granted_and_no_larger(ctx: FakeStepContext) -> None:
    grant = parse({"blob": 4})

    for content in (("text", "abcd"), ("text", "üü"), ("base64", "YWJjZA=="), ("bytes", b"abcd")):
        assert is_ok(ask(ctx, "put", content, grant=grant))
    for content in (
        ("text", "abcde"),
        ("text", "üüa"),
        ("base64", "YWJjZGU="),
        ("bytes", b"abcde"),
        ("text", "a" * 99),
    ):
        assert ask(ctx, "put", content, grant=grant) == ("err", ("too-large", 4))
        assert ask(ctx, "put-at-label", "a", content, grant=grant) == ("err", ("too-large", 4))


def test_without_a_word_a_blob_is_as_large_as_a_message(ctx: FakeStepContext) -> None:
    assert is_ok(ask(ctx, "put", ("bytes", bytes(BLOB_DEFAULT_BYTES))))
    assert ask(ctx, "put", ("bytes", bytes(BLOB_DEFAULT_BYTES + 1))) == ("err", ("too-large", BLOB_DEFAULT_BYTES))
    text = base64.b64encode(bytes(BLOB_DEFAULT_BYTES + 1)).decode()
    assert ask(ctx, "put", ("base64", text)) == ("err", ("too-large", BLOB_DEFAULT_BYTES))


def test_more_is_not_got_at_once_than_may_be_put_at_once(ctx: FakeStepContext) -> None:
    small, digest = parse({"blob": 4}), put(ctx, "abcdefgh")

    assert ask(ctx, "get", digest, "text", grant=small) == ("err", ("too-large", 4))
    assert ask(ctx, "get-range", digest, 0, 5, "text", grant=small) == ("err", ("too-large", 4))
    assert ask(ctx, "get-range", digest, 2, 4, "text", grant=small) == ("ok", ("text", "cdef"))
    assert ask(ctx, "get-range", digest, 4, 99, "text", grant=small) == ("ok", ("text", "efgh"))


def test_a_space_holds_its_quota_and_no_more(ctx: FakeStepContext) -> None:
    grant = parse({"quota": 10})
    put(ctx, "12345", grant)
    put(ctx, "67890", grant)

    assert ask(ctx, "put", ("text", "x"), grant=grant) == ("err", ("quota", 10))
    assert ask(ctx, "put-at-label", "a", ("text", "x"), grant=grant) == ("err", ("quota", 10))
    assert ask(ctx, "get-label", "a") == ("ok", None)
    assert ask(ctx, "put", ("text", "12345"), grant=grant) == ("ok", digest_of(b"12345"))
    assert ask(ctx, "put", ("text", ""), grant=grant) == ("ok", EMPTY)


def test_a_step_may_put_what_it_has_made_room_for(ctx: FakeStepContext) -> None:
    grant = parse({"quota": 5})
    first = put(ctx, "12345", grant)
    ask(ctx, "remove", first)

    put(ctx, "67890", grant)
    assert ask(ctx, "put", ("text", "12345"), grant=grant) == ("err", ("quota", 5))


def test_a_space_has_so_many_blobs_and_labels_and_no_more(
    ctx: FakeStepContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capability, "BLOBS_MAX", 2)
    monkeypatch.setattr(capability, "LABELS_MAX", 3)
    for label in ("a", "b", "c"):
        assert is_ok(ask(ctx, "put-at-label", label, ("text", "abc")))
    put(ctx, "other")

    assert ask(ctx, "put", ("text", "x")) == (
        "err",
        ("other", "too-many-blobs: the space has 2 blobs already, the limit"),
    )
    assert ask(ctx, "set-label", "d", ABC) == ("err", ("too-many", 3))
    assert ask(ctx, "put-at-label", "d", ("text", "abc")) == ("err", ("too-many", 3))
    assert ask(ctx, "set-label", "c", ABC) == OK
    assert ask(ctx, "remove-label", "b") == OK
    assert ask(ctx, "set-label", "d", ABC) == OK


def test_a_list_gives_a_page_and_no_more(ctx: FakeStepContext) -> None:
    for number in range(PAGE_MAX + 1):
        ctx.effects.append(PutBlob("self", digest_of(b"%d" % number), b"x"))
        ctx.effects.append(SetLabel("self", f"{number:04}", ABC))
    for name, arguments in (("list-labels", ("", None, 2**32 - 1)), ("list-blobs", (None, 2**32 - 1))):
        answer = ask(ctx, name, *arguments)
        assert isinstance(answer, tuple)
        assert len(answer[1]) == PAGE_MAX


def test_a_label_may_have_255_bytes(ctx: FakeStepContext) -> None:
    assert is_ok(ask(ctx, "put-at-label", "x" * LABEL_MAX_BYTES, ("text", "")))


# -- the grant ---------------------------------------------------------------------------------------------------------


def test_an_empty_table_grants_the_actors_own_space() -> None:
    assert parse({}) == GRANT
    assert parse({}).table() == {"space": ["self"], "read": [], "quota": "64MiB", "blob": "1MiB"}
    assert (GRANT.quota_bytes, GRANT.blob_bytes) == (QUOTA_DEFAULT_BYTES, BLOB_DEFAULT_BYTES)


def test_a_space_is_a_text_or_a_list_and_what_may_be_written_may_be_read() -> None:
    assert parse({"space": "tree"}).space == ("tree",)
    assert parse({"allow": ["tree", "a", "tree"]}).space == ("a", "tree")
    both = parse({"space": ["a"], "read": ["a", "b"]})
    assert (both.space, both.read) == (("a",), ("b",))


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"space": "Self"}, r"\[capabilities.store\] space: 'Self' is no space: .* did you mean 'self'\?"),
        ({"read": ["../x"]}, r"\[capabilities.store\] read: '../x' is no space"),
        ({"space": ["a" * 64]}, "is no space"),
        ({"space": 5}, "write a list of texts"),
        ({"quota": "1TiB"}, r"\[capabilities.store\] quota: 40000MiB is the most"),
        ({"blob": "5MiB"}, r"\[capabilities.store\] blob: 4MiB is the most"),
        ({"quota": "much"}, r"\[capabilities.store\] quota: "),
        ({"spaces": ["a"]}, r"did you mean 'space'\?"),
        ({"space": ["a"], "allow": ["b"]}, "which is the same"),
    ],
)
def test_a_wrong_table_is_refused_with_its_key(table: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason):
        parse(table)


def test_the_largest_grant_is_one() -> None:
    assert parse({"quota": QUOTA_MAX_BYTES, "blob": BLOB_MAX_BYTES}).quota_bytes == QUOTA_MAX_BYTES


def test_only_what_goes_beyond_a_ceiling_is_named() -> None:
    asked = parse({"space": ["self", "tree", "a"], "read": ["b", "c"], "quota": "1GiB", "blob": "2MiB"})

    assert asked.lines(GRANT) == [
        'space = ["a"]',
        'space = ["tree"]',
        'read = ["b"]',
        'read = ["c"]',
        'quota = "1GiB"',
        'blob = "2MiB"',
    ]
    assert asked.lines(
        parse({"space": ["self", "tree", "b"], "read": ["a", "c"], "quota": "2GiB", "blob": "4MiB"})
    ) == ['space = ["a"]']
    assert asked.lines(asked) == []


def test_without_a_ceiling_every_line_is_named() -> None:
    assert GRANT.lines(None) == ['space = ["self"]', 'quota = "64MiB"', 'blob = "1MiB"']
    assert parse({"space": [], "read": ["a"]}).lines(None)[:2] == ["space = []", 'read = ["a"]']


NAMES = st.sets(st.sampled_from(["self", "tree", "a", "b"]))
GRANTS = st.builds(
    lambda space, read, quota, blob: StoreGrant(tuple(space), tuple(read), quota, blob),
    NAMES,
    NAMES,
    st.integers(0, 5),
    st.integers(0, 5),
)


@given(asked=GRANTS, ceiling=GRANTS)
def test_what_is_narrowed_is_within_both_and_nothing_within_both_is_lost(
    asked: StoreGrant, ceiling: StoreGrant
) -> None:
    narrow = asked.narrowed(ceiling)

    assert narrow.lines(asked) == narrow.lines(ceiling) == []
    assert narrow.readable == asked.readable & ceiling.readable
    assert set(narrow.space) == set(asked.space) & set(ceiling.space)
    assert parse(narrow.table()) == narrow
    assert (asked.lines(ceiling) == []) == (narrow == asked)
    assert error_of(("err", narrow.refusal("c", writes=False))) == "denied"
