from actor import Notes

from theater_sdk.testing import Rehearsal


def test_a_note_is_kept_and_given_back() -> None:
    notes = Rehearsal(Notes)

    added = notes.ask("POST", "/notes", "buy tea", tag="add")
    assert (added.status, added.body) == (201, '{"number":1}')

    assert notes.ask("GET", "/notes/1", tag="get", parameters={"number": "1"}).body == "buy tea"
    missing = notes.ask("GET", "/notes/2", tag="get", parameters={"number": "2"})
    assert missing.body == "there is no such note\n"


def test_who_listens_hears_of_each() -> None:
    notes = Rehearsal(Notes)
    listener = notes.open_websocket("/live")

    notes.ask("POST", "/notes", "buy tea", tag="add")

    assert notes.said(listener) == ["0 so far", "buy tea"]


def test_it_has_one_server() -> None:
    assert Rehearsal(Notes, {"port": 8080}).request("where") == {"ports": [8080]}
