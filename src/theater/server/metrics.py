"""What ``/metrics`` tells, in OpenMetrics: what the node committed, what its actors hold, and what was asked over HTTP.

Nothing is counted twice: the numbers are those of the runtime's tally and of the server's traffic, read when somebody
asks. A label's value comes from a table of ours; what is in none is ``other``, so neither a guest nor a chain that was
taken in can make a metric's series grow, or put anything else there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import accumulate
from typing import Final, get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from theater.model.crash import CRASH_REASONS
from theater.model.event import CLOSING_KINDS
from theater.model.ports import Status
from theater.runtime.runtime import Runtime
from theater.runtime.tally import LATENCY_BUCKETS_S, Tally
from theater.server.traffic import Traffic

STATUSES: Final[tuple[str, ...]] = get_args(Status)
OTHER: Final = "other"


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self, runtime: Runtime, traffic: Traffic, *, version: str) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Node(runtime, version))
        self._registry.register(_Traffic(traffic))

    def text(self) -> tuple[bytes, str]:
        """The metrics as they are now, and their media type. Reads the store: not for the event loop."""
        text: bytes = generate_latest(self._registry)  # type: ignore[no-untyped-call]  # the library's own, without types
        return text, CONTENT_TYPE_LATEST


class _Node(Collector):
    def __init__(self, runtime: Runtime, version: str) -> None:
        self._runtime = runtime
        self._version = version
        self._interfaces = frozenset(interface for interface, _ in runtime.node.registry.table)

    def collect(self) -> Iterator[Metric]:
        tally = self._runtime.tally
        yield _info(self._version, self._runtime.node.engine_facts().version)
        yield _counters("theater_steps", "Steps that were closed", "outcome", tally.steps, CLOSING_KINDS)
        yield _counters("theater_crashes", "Steps that crashed", "reason", tally.crashes, CRASH_REASONS)
        yield _counters(
            "theater_host_calls", "Calls of guests that were answered", "interface", tally.host_calls, self._interfaces
        )
        denials = self._runtime.live.denials()
        yield _counters(
            "theater_denials", "Calls of guests that went beyond their grants", "interface", denials, self._interfaces
        )
        yield CounterMetricFamily("theater_restarts", "Actors that were started again", value=tally.restarts)
        yield CounterMetricFamily("theater_events", "Events that were committed", value=tally.events)
        yield _latency(tally)
        yield from self._actors()

    def _actors(self) -> Iterator[Metric]:
        statuses = Counter[str]()
        waiting = [0]
        held = self._runtime.store.size_entries("mailbox")
        for record in self._runtime.store.records():
            statuses[record.status] += 1
            here = self._runtime.live.waiting(record.id)
            waiting.append(held.get(record.id, 0) if here is None else here)
        actors = GaugeMetricFamily("theater_actors", "Actors that there are", labels=["status"])
        for status in STATUSES:
            actors.add_metric([status], statuses[status])
        yield actors
        yield GaugeMetricFamily("theater_mailbox_messages", "Messages in all mailboxes", value=sum(waiting))
        yield GaugeMetricFamily("theater_mailbox_messages_max", "Messages in the fullest mailbox", value=max(waiting))


class _Traffic(Collector):
    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "theater_http_requests", "Requests that were answered", labels=["route", "method", "status"]
        )
        for (route, method, status), count in sorted(self._traffic.requests.copy().items()):
            requests.add_metric([route, method, str(status)], count)
        yield requests
        yield GaugeMetricFamily("theater_http_streams", "Answers that are being streamed", value=self._traffic.streams)


def _info(version: str, engine: str) -> Metric:
    info = InfoMetricFamily("theater_build", "What is running")
    info.add_metric([], {"version": version, "engine": engine})
    return info


def _counters(name: str, help_text: str, label: str, counts: Mapping[str, int], known: Collection[str]) -> Metric:
    """A counter with a series for each of ``known``, and one for all others where there are any."""
    family = CounterMetricFamily(name, help_text, labels=[label])
    now = dict(counts)
    for value in sorted(known):
        family.add_metric([value], now.pop(value, 0))
    if now:
        family.add_metric([OTHER], sum(now.values()))
    return family


def _latency(tally: Tally) -> Metric:
    bounds = [*(f"{bound:g}" for bound in LATENCY_BUCKETS_S), "+Inf"]
    buckets = list(zip(bounds, accumulate(tally.latency_counts), strict=True))
    family = HistogramMetricFamily("theater_commit_seconds", "How long writing a transaction took")
    family.add_metric([], buckets=buckets, sum_value=tally.latency_s)
    return family
