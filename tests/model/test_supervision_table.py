"""A manifest's ``[supervision]``: what may be said there, and what is answered to the rest."""

import re

import pytest

from theater.errors import InvalidManifest
from theater.model.child_spec import Backoff, ChildSpec
from theater.model.manifest import parse_manifest
from theater.model.supervision_table import Supervision
from theater.model.supervisor_spec import SupervisorSpec, Window

HEAD = 'name = "boss"\ncomponent = "boss.wasm"\n'


def supervision(text: str, **settings: object) -> Supervision:
    return parse_manifest(HEAD + text, settings=settings).supervision


@pytest.mark.parametrize("text", ["", "[supervision]\n"])
def test_what_is_not_said_has_the_defaults_of_otp(text: str) -> None:
    assert supervision(text) == Supervision(
        supervisor=SupervisorSpec(strategy="one-for-one", intensity=1, period_us=5_000_000),
        self_spec=None,
        self_window=Window(intensity=1, period_us=5_000_000),
    )


def test_everything_can_be_said() -> None:
    text = """
        [supervision]
        strategy = "rest-for-one"
        intensity = 3
        period = "10s"

        [supervision.self]
        restart = "transient"
        restart-from = "init"
        shutdown = "2.5s"
        backoff = { first = "1s", max = "30s" }
        intensity = 0
        period = "1d"
    """

    assert supervision(text) == Supervision(
        supervisor=SupervisorSpec(strategy="rest-for-one", intensity=3, period_us=10_000_000),
        self_spec=ChildSpec(
            restart="transient",
            restart_from="init",
            shutdown=2_500,
            backoff=Backoff(first_ms=1_000, max_ms=30_000),
        ),
        self_window=Window(intensity=0, period_us=86_400_000_000),
    )


def test_an_empty_table_of_its_own_asks_for_a_permanent_restart() -> None:
    assert supervision("[supervision.self]").self_spec == ChildSpec(restart="permanent", restart_from="last-state")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('"5s"', 5_000),
        ('"0s"', 0),
        ('"1ms"', 1),
        ('"1.001s"', 1_001),
        ('"86399.999s"', 86_399_999),
        ("5", 5_000),
        ('"1d"', 86_400_000),
        ('"brutal"', "brutal"),
        ('"infinity"', "infinity"),
    ],
)
def test_how_long_a_shutdown_may_take(written: str, expected: int | str) -> None:
    spec = supervision(f"[supervision.self]\nshutdown = {written}").self_spec

    assert spec is not None
    assert spec.shutdown == expected


@pytest.mark.parametrize(("written", "expected"), [('"1us"', 1), ('"0.5us"', 1), ("0.25", 250_000), ("86400", 86.4e9)])
def test_a_period_is_kept_in_microseconds(written: str, expected: float) -> None:
    assert supervision(f"[supervision]\nperiod = {written}").supervisor.period_us == expected


def test_placeholders_are_replaced_here_too() -> None:
    read = supervision('[supervision]\nintensity = "${MANY}"\nperiod = "${LONG:-7}s"', MANY=9).supervisor

    assert (read.intensity, read.period_us) == (9, 7_000_000)


SELF = "[supervision.self]\n"
HUGE = "9" * 400


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("supervision = 1", "supervision must be a table, written [supervision]"),
        ("[supervisor]", "a manifest has no key 'supervisor'; did you mean 'supervision'?"),
        ("[supervision]\nstrategie = 1", "[supervision] has no key 'strategie'; did you mean 'strategy'?"),
        ("[supervision]\nrestart = 'permanent'", "[supervision] has no key 'restart'"),
        ("[supervision]\nstrategy = 'one_for_one'", "[supervision] strategy = 'one_for_one': use one of one-for-one, "),
        ("[supervision]\nstrategy = ['one-for-one']", "[supervision] strategy = ['one-for-one']: use one of"),
        ("[supervision]\nintensity = -1", "[supervision] intensity = -1: use a whole number from 0 to 1000"),
        ("[supervision]\nintensity = 1001", "[supervision] intensity = 1001: use a whole number from 0 to 1000"),
        ("[supervision]\nintensity = 1.0", "[supervision] intensity = 1.0: use a whole number"),
        ("[supervision]\nintensity = true", "[supervision] intensity = True: use a whole number"),
        ("[supervision]\nperiod = 0", "[supervision] period = 0: it must be more than 0"),
        ("[supervision]\nperiod = '86400.1s'", "[supervision] period: it must be at most a day"),
        ("[supervision]\nperiod = inf", "[supervision] period: it must be at most a day"),
        (f"[supervision]\nperiod = {HUGE}", "[supervision] period: it must be at most a day"),
        ("[supervision]\nperiod = nan", "[supervision] period: nan is not a duration"),
        ("[supervision]\nperiod = 'soon'", "[supervision] period: 'soon' is not a duration"),
        ("[supervision]\nself = 1", "self must be a table, written [supervision.self]"),
        (SELF + "restarts = 1", "[supervision.self] has no key 'restarts'; did you mean 'restart'?"),
        (SELF + "strategy = 1", "[supervision.self] has no key 'strategy'"),
        (SELF + "restart = 'always'", "[supervision.self] restart = 'always': use one of permanent, transient, temp"),
        (SELF + "restart-from = 'disk'", "[supervision.self] restart-from = 'disk': use one of last-state, init"),
        (SELF + "shutdown = 'gentle'", "[supervision.self] shutdown: 'gentle' is not a duration; write for example \""),
        (SELF + "shutdown = 'gentle'", 'or a number of seconds, or "infinity", or "brutal"'),
        (SELF + "shutdown = '2d'", '[supervision.self] shutdown: it must be at most a day, or "infinity", or "brutal"'),
        (SELF + "shutdown = '1500us'", "[supervision.self] shutdown = '1500us': it must be whole milliseconds"),
        (SELF + "backoff = '1s'", "[supervision.self] backoff = '1s': write for example { first = "),
        (SELF + "backoff = { first = 1 }", "[supervision.self] backoff has no 'max'; write for example { first = "),
        (SELF + "backoff = { first = 1, most = 2 }", "[supervision.self] backoff has no key 'most'"),
        (SELF + "backoff = { first = 0, max = 2 }", "[supervision.self] backoff: first = 0: use a whole number from 1"),
        (SELF + "backoff = { first = 3, max = 2 }", "[supervision.self] backoff: the first pause, 3000 ms, is longer"),
        (SELF + "intensity = 1001", "[supervision.self] intensity = 1001: use a whole number from 0 to 1000"),
        (SELF + "period = '0s'", "[supervision.self] period = '0s': it must be more than 0"),
    ],
)
def test_what_cannot_be_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(InvalidManifest, match=re.escape(complaint)):
        supervision(text)
