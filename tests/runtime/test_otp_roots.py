"""Root actors, whose supervisor is the runtime: it restarts nobody who does not ask for it, and never gives up."""

from __future__ import annotations

import pytest

from tests.guests import puppet
from tests.runtime.troupe import Troupe
from theater.errors import NotRunning
from theater.model.payload import Lifecycle

SELF = """[supervision.self]
intensity = 2
period = "10s"
"""


def test_a_root_actor_that_crashed_stays_so_and_can_be_read(company: Troupe) -> None:
    root = company.player("anna")
    root.request(puppet.count())
    company.crash(root)

    assert (root.status, root.state) == ("crashed", "1")
    assert root.kinds()[-1] == "crashed"
    with pytest.raises(NotRunning, match="crashed"):
        root.request(puppet.count())


def test_a_root_actor_is_restarted_as_its_manifest_asks_within_a_window_of_its_own(company: Troupe) -> None:
    text = company.manifest("anna") + SELF
    anna, bert = (company.root(text, name) for name in ("anna", "bert"))
    anna.request(puppet.count())
    for _ in range(2):
        company.crash(anna)
        assert (anna.status, anna.state) == ("running", "1")
    company.crash(bert)
    assert bert.status == "running"

    company.crash(anna)
    assert (anna.status, anna.state) == ("crashed", "1")

    company.stage.clock.advance(11)
    anna.restart()
    company.crash(anna)
    assert anna.status == "running"
    by = [each.by for each in anna.payloads("lifecycle") if isinstance(each, Lifecycle)]
    assert by == ["local", "runtime", "runtime", "local", "runtime"]


def test_the_window_of_a_root_actor_survives_the_process(company: Troupe) -> None:
    anna = company.root(company.manifest("anna") + SELF, "anna")
    company.crash(anna)
    company.crash(anna)

    company.stage.reopen()
    anna = company.find("anna")
    company.crash(anna)

    assert anna.status == "crashed"


@pytest.mark.parametrize(
    ("restart", "how", "status"),
    [
        ("permanent", "normal", "running"),
        ("transient", "normal", "stopped"),
        ("temporary", "crash", "crashed"),
        ("transient", "crash", "running"),
        ("permanent", "stop", "stopped"),
    ],
)
def test_a_root_actor_is_restarted_by_the_same_rules_as_a_child(
    company: Troupe, restart: str, how: str, status: str
) -> None:
    anna = company.root(company.manifest("anna") + SELF + f'restart = "{restart}"\n', "anna")
    anna.request(puppet.count())
    match how:
        case "normal":
            anna.request(puppet.shutdown("bye"))
        case "crash":
            company.crash(anna)
        case _:
            anna.stop()
    company.rest()

    assert anna.status == status
    if (restart, how) == ("permanent", "normal"):
        assert anna.state == "0"


def test_a_root_that_gave_up_is_restarted_with_its_children(company: Troupe) -> None:
    manifest = company.manifest("root", supervision="intensity = 0") + SELF
    root = company.root(manifest, "root")
    leaf = company.child(root, "leaf")

    company.crash(leaf)

    assert (root.status, leaf.status) == ("running", "running")
    assert company.story("stopped", "restarted") == ["root stopped", "root restarted", "leaf restarted"]


def test_the_pause_of_a_root_is_ended_by_who_restarts_or_stops_it(company: Troupe) -> None:
    text = company.manifest("anna") + SELF + 'backoff = { first = "30s", max = "30s" }\n'
    anna, bert = company.root(text, "anna"), company.root(text, "bert")
    company.crash_together(anna, bert)
    assert (anna.status, bert.status) == ("crashed", "crashed")

    anna.restart()
    bert.stop()
    assert anna.status == "running"
    company.stage.clock.advance(31)
    company.rest()

    assert anna.kinds().count("restarted") == 1
    assert bert.status == "stopped"


def test_a_pause_of_a_root_goes_on_when_the_node_is_restarted_in_it(company: Troupe) -> None:
    text = company.manifest("anna") + SELF + 'backoff = { first = "30s", max = "30s" }\n'
    company.crash(company.root(text, "anna"))

    company.stage.reopen()
    company.rest()
    company.stage.clock.advance(30)
    company.rest()

    assert company.find("anna").status == "running"


def test_a_root_with_children_that_runs_is_restarted_with_them(company: Troupe) -> None:
    root = company.boss()
    leaf = company.child(root, "leaf")
    leaf.request(puppet.count())

    root.restart()
    company.rest()

    assert company.story("stopped", "restarted") == [
        *("leaf stopped", "boss stopped", "boss restarted", "leaf restarted"),
    ]
    assert leaf.state == "1"


@pytest.mark.slow
def test_a_root_that_begins_from_init_has_no_children_any_more(company: Troupe) -> None:
    root = company.boss()
    leaf = company.child(root, "leaf")

    company.stage.run(root.ref.restart(from_init=True))
    company.rest()

    assert (root.status, root.state, leaf.status) == ("running", "0", "stopped")
    assert company.ask(root, puppet.list_children()) == ""
    company.stage.reopen()
    root = company.find("boss")
    assert company.ask(root, puppet.list_children()) == ""
    assert company.child(root, "leaf").id != leaf.id
