"""The metrics are OpenMetrics, and nothing in them was written by a guest."""

import re
from contextlib import suppress

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.guests import wat
from tests.runtime.stage import Stage
from theater.errors import Crashed, Refused
from theater.server.metrics import Metrics
from theater.server.traffic import Traffic

HOSTILE = 'x"} 1\n# EOF\nforged{a="\x1b'


@pytest.fixture
def traffic() -> Traffic:
    return Traffic()


@pytest.fixture
def metrics(stage: Stage, traffic: Traffic) -> Metrics:
    return Metrics(stage.runtime, traffic, version="0.1.0")


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """By name and the values of the labels."""
    text, media = metrics.text()
    assert media.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())  # type: ignore[no-untyped-call]  # the library has no types
        for sample in family.samples
    }


def test_before_anything_happens_every_series_is_there_and_zero(metrics: Metrics) -> None:
    found = samples(metrics)

    assert (
        found["theater_build_info", ("50.0.1", "0.1.0")] == 1 or found["theater_build_info", ("0.1.0", "50.0.1")] == 1
    )
    for name, labels in [
        ("theater_steps_total", ("state",)),
        ("theater_crashes_total", ("fuel",)),
        ("theater_host_calls_total", ("theater:actor/random",)),
        ("theater_denials_total", ("theater:actor/messaging",)),
        ("theater_actors", ("running",)),
        ("theater_restarts_total", ()),
        ("theater_events_total", ()),
        ("theater_mailbox_messages", ()),
        ("theater_mailbox_messages_max", ()),
        ("theater_http_streams", ()),
        ("theater_commit_seconds_count", ()),
    ]:
        assert found[name, labels] == 0, name


def test_what_actors_do_is_counted(stage: Stage, metrics: Metrics) -> None:
    counter = stage.play(wat.COUNTER, name="counter")
    counter.request({"by": 1})
    refuser = stage.play(wat.REFUSE, name="refuse")
    with suppress(Refused):
        refuser.request(1)
    loop = stage.play(wat.LOOP, name="loop", limits={"fuel": 100_000})
    with suppress(Crashed):
        loop.request(1)
    stage.run(stage.run(stage.runtime.actor("counter")).restart())
    stage.run(stage.run(stage.runtime.actor("counter")).pause())
    stage.run(stage.run(stage.runtime.actor("counter")).send_json("1"))
    stage.rest()

    found = samples(metrics)
    assert found["theater_steps_total", ("refused",)] == 1
    assert found["theater_steps_total", ("crashed",)] == 1
    assert found["theater_steps_total", ("state",)] >= 4
    assert found["theater_crashes_total", ("fuel",)] == 1
    assert found["theater_restarts_total", ()] == 1
    assert found["theater_events_total", ()] == stage.runtime.store.size_events()
    assert found["theater_actors", ("paused",)] == 1
    assert found["theater_actors", ("running",)] == 1
    assert found["theater_actors", ("crashed",)] == 1
    assert found["theater_mailbox_messages", ()] == 1
    assert found["theater_mailbox_messages_max", ()] == 1
    assert found["theater_commit_seconds_count", ()] == stage.runtime.tally.transactions
    assert found["theater_commit_seconds_sum", ()] > 0


def test_the_buckets_of_the_latency_are_cumulated(stage: Stage, metrics: Metrics) -> None:
    stage.play(wat.COUNTER)
    stage.rest()

    buckets = [value for (name, _), value in samples(metrics).items() if name == "theater_commit_seconds_bucket"]
    assert buckets == sorted(buckets)
    assert buckets[-1] == stage.runtime.tally.transactions


def test_requests_are_counted_by_route_method_and_status(traffic: Traffic, metrics: Metrics) -> None:
    traffic.count("/v1/actors/{id}", "GET", 200)
    traffic.count("/v1/actors/{id}", "GET", 200)
    traffic.count("-", HOSTILE, 404)

    with traffic.stream():
        found = samples(metrics)

    assert found["theater_http_requests_total", ("GET", "/v1/actors/{id}", "200")] == 2
    assert found["theater_http_requests_total", ("other", "-", "404")] == 1
    assert found["theater_http_streams", ()] == 1


def test_what_is_in_no_table_of_ours_is_other(stage: Stage, metrics: Metrics) -> None:
    for counts in (stage.runtime.tally.host_calls, stage.runtime.tally.crashes, stage.runtime.tally.steps):
        for number in range(1000):
            counts[f"{HOSTILE}{number}"] += 1

    text, _ = metrics.text()

    assert b"forged" not in text
    found = samples(metrics)
    assert found["theater_host_calls_total", ("other",)] == 1000
    assert found["theater_crashes_total", ("other",)] == 1000
    assert re.search(rb"[\x00-\x09\x0b-\x1f\x7f-\xff]", text) is None
