"""One-line sabotages of the sources: for each a few tests that must notice it."""

from dataclasses import dataclass

RUNTIME = "tests/runtime"


@dataclass(frozen=True, slots=True)
class Sabotage:
    """What is done to a file below ``src/theater``, and who has to notice."""

    what: str
    file: str
    line: str
    becomes: str
    tests: tuple[str, ...]


SABOTAGES = (
    Sabotage(
        "a payload is not compared with its commitment",
        "model/commitment.py",
        "if payload_commit(salt, payload) != event.header.commit:",
        "if False:",
        (f"{RUNTIME}/test_tampering.py::test_a_changed_event_is_named",),
    ),
    Sabotage(
        "the salt is left out of the commitment",
        "model/commitment.py",
        "return Digest(hashlib.sha256(_DOMAIN + salt + payload).hexdigest())",
        "return Digest(hashlib.sha256(_DOMAIN + payload).hexdigest())",
        (f"{RUNTIME}/test_tampering.py::test_a_changed_event_is_named",),
    ),
    Sabotage(
        "a link is not compared with the event before",
        "chain/links.py",
        "if header.prev != self._head.hash:",
        "if False:",
        (f"{RUNTIME}/test_tampering.py::test_a_part_that_was_sealed_anew_breaks_where_the_rest_follows",),
    ),
    Sabotage(
        "the head that somebody vouches for is not looked at",
        "chain/links.py",
        "if head is not None and head != self._head.hash:",
        "if False:",
        (f"{RUNTIME}/test_tampering.py::test_a_cut_tail_is_found_by_its_head",),
    ),
    Sabotage(
        "the asker hears before the commit",
        "runtime/appender.py",
        "self._waiting.append((on_durable, events))",
        "on_durable(None, events)",
        (f"{RUNTIME}/test_steps.py::test_nobody_hears_of_a_step_before_it_is_committed",),
    ),
    Sabotage(
        "a grant is widened to the ceiling",
        "capabilities/timing.py",
        "sleep_ms=min(self.sleep_ms, ceiling.sleep_ms),",
        "sleep_ms=max(self.sleep_ms, ceiling.sleep_ms),",
        ("tests/capabilities/test_grants.py",),
    ),
    Sabotage(
        "nobody is refused for asking too much",
        "runtime/permissions.py",
        "raise Denied(_denial(beyond), asked=beyond)",
        "pass",
        (f"{RUNTIME}/test_forgery.py::test_a_grant_that_was_widened_in_the_manifest_where_the_ceiling_forbids_it",),
    ),
    Sabotage(
        "the fuel of a replayed step is taken from the record",
        "runtime/judging.py",
        "not step.compares_fuel\n        and isinstance(made, State",
        "isinstance(made, State",
        (f"{RUNTIME}/test_forgery.py::test_a_changed_fuel",),
    ),
    Sabotage(
        "a replay does not compare what the guest said",
        "runtime/tape.py",
        "if event.payload != payload:",
        "if False:",
        (f"{RUNTIME}/test_forgery.py::test_a_changed_log_line",),
    ),
    Sabotage(
        "what a failed step asked for happens all the same",
        "runtime/performer.py",
        'shutdown = step.boundary.context.has_shutdown and outcome.kind == "state"',
        "shutdown = step.boundary.context.has_shutdown",
        (f"{RUNTIME}/test_steps.py::test_what_a_step_asked_for_does_not_happen_when_it_refuses",),
    ),
    Sabotage(
        "NaN is JSON",
        "model/json_text.py",
        '_SCALARS = (_STRING, _NUMBER, "true", "false", "null")',
        '_SCALARS = (_STRING, _NUMBER, "true", "false", "null", "NaN")',
        (f"{RUNTIME}/test_json_texts.py::test_what_is_no_json_is_not_sent",),
    ),
    Sabotage(
        "the clock runs within a step",
        "capabilities/wasi_clocks.py",
        "seconds, microseconds = divmod(ctx.now_us, _US_PER_S)",
        'seconds, microseconds = divmod(__import__("time").time_ns() // 1000, _US_PER_S)',
        (f"{RUNTIME}/test_known_world.py::test_the_clock_stands_still_within_a_step_and_moves_with_a_sleep",),
    ),
    Sabotage(
        "random bytes come from the machine",
        "model/randomness.py",
        "return taken[:size_bytes]",
        'return __import__("os").urandom(size_bytes)',
        (f"{RUNTIME}/test_known_world.py::test_random_bytes_are_those_of_the_seed_in_the_chain",),
    ),
    Sabotage(
        "an append does not look at the head",
        "store/plan.py",
        "if head != part.expected:",
        "if False:",
        ("tests/store/test_contract.py",),
    ),
    Sabotage(
        "a state that could not be recorded is shown",
        "runtime/performer.py",
        "if outcome.changed and failure is None:",
        "if outcome.changed:",
        (f"{RUNTIME}/test_steps.py::test_a_full_disk_in_mid_step_is_the_askers_error_and_the_state_does_not_advance",),
    ),
    Sabotage(
        "a step that kills the process is run for ever",
        "runtime/birth.py",
        "if node.store.attempt(actor.record.id) > 0:",
        "if False:",
        (f"{RUNTIME}/test_resuming.py::test_a_step_that_took_the_process_down_twice_is_not_run_a_third_time",),
    ),
    Sabotage(
        "hidden state is found and kept quiet",
        "runtime/sampling.py",
        "if difference is not None:",
        "if False:",
        (f"{RUNTIME}/test_warm.py::test_an_instance_that_remembers_is_found_and_the_actor_goes_on_fresh",),
    ),
)
