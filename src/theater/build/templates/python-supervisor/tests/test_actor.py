from actor import Team

from theater_sdk import NO_REPLY
from theater_sdk.testing import Rehearsal


def test_it_starts_its_workers() -> None:
    team = Rehearsal(Team, {"workers": 2}, name="team")

    assert [call["child"]["name"] for call in team.calls_of("spawn")] == ["team-1", "team-2"]


def test_a_task_is_answered_when_the_worker_has_done_it() -> None:
    team = Rehearsal(Team, {"workers": 1})

    assert team.request({"text": "to be"}) is NO_REPLY
    ((worker, task),) = team.sent
    team.send({"task": task["task"], "words": 2}, sender=worker)

    assert team.replies == {task["task"]: {"words": 2}}


def test_a_task_that_a_worker_ended_over_is_answered_too() -> None:
    team = Rehearsal(Team, {"workers": 1})
    team.request({"text": ""})
    ((worker, task),) = team.sent

    team.end_child(worker, "crashed", "trap")

    assert team.replies == {task["task"]: {"failed": "crashed"}}
    assert team.request("ended") == [["", "crashed", "trap", "restarted"]]


def test_a_worker_counts_words() -> None:
    worker = Rehearsal(Team, {})

    worker.send({"task": "t", "text": "to be or not"}, sender="a" * 32)

    assert worker.sent == [("a" * 32, {"task": "t", "words": 4})]
    assert worker.state == {"done": 1}
