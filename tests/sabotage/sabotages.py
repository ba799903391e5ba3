"""One-line sabotages of the sources: for each a few tests that must notice it."""

from dataclasses import dataclass

RUNTIME = "tests/runtime"
AT_THE_END = "test_a_restart_counts_up_to_and_at_the_end_of_the_period_and_not_a_microsecond_later"
DECIDED_ONCE = "test_a_decision_is_made_and_carried_out_once_wherever_the_process_dies[one-for-one]"
DERIVED_IDS = "test_the_ids_that_a_step_gives_out_follow_from_its_message_and_their_number"
KILLED = f"{RUNTIME}/test_guarantees_deaths.py::test_no_message_is_lost_or_handled_twice_wherever_the_process_dies"
NEVER_WAS = f"{RUNTIME}/test_guarantees_deaths.py::test_a_step_on_a_message_that_never_was_is_refused_by_the_store"


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
        "not step.compares_all\n        and isinstance(made, State",
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
        "if attempts > 0:",
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
    Sabotage(
        "a message leaves the mailbox in a transaction of its own",
        "runtime/performer.py",
        'if letter.is_durable:\n            brought.drop(actor, "mailbox", letter.id)\n        note_handled',
        "if letter.is_durable:\n            brought.after.append(lambda: self._being.appender.commit("
        'bring=lambda _, later: later.drop(actor, "mailbox", letter.id)))\n        note_handled',
        (KILLED,),
    ),
    Sabotage(
        "what a step sends is written in a transaction of its own",
        "runtime/settlement.py",
        "    post(settling.surroundings, settling.brought, effect.to, letter)\n",
        "    settling.brought.after.append(lambda: settling.being.appender.commit("
        "bring=lambda _, later: post(settling.surroundings, later, effect.to, letter)))\n",
        (KILLED,),
    ),
    Sabotage(
        "a message that was never accepted can be consumed",
        "store/plan.py",
        "if drop.required and not was_there:",
        "if False:",
        (NEVER_WAS,),
    ),
    Sabotage(
        "a message that is there already is taken a second time",
        "runtime/mailbox.py",
        "if self._found is not None and letter.id in self._found:",
        "if False:",
        (f"{RUNTIME}/test_mailbox.py",),
    ),
    Sabotage(
        "what is put once replaces what is there",
        "store/entries.py",
        "elif entry.once:",
        "elif False:",
        ("tests/store/test_contract.py",),
    ),
    Sabotage(
        "no place in a mailbox is reserved",
        "runtime/neighbours.py",
        "take_place(card, most=self._bounds(card).mailbox):",
        "take_place(card, most=None):",
        (f"{RUNTIME}/test_messaging.py::test_a_full_mailbox_answers_so_at_the_call",),
    ),
    Sabotage(
        "a place that was reserved and not used stays taken",
        "runtime/neighbours.py",
        "self._surroundings.directory.free_place(card, count)",
        "pass",
        (f"{RUNTIME}/test_messaging.py::test_a_step_that_fails_sends_nothing",),
    ),
    Sabotage(
        "circles of waiting are not found",
        "runtime/waits.py",
        "return tuple(line) if current == asker else None",
        "return None",
        (f"{RUNTIME}/test_waits.py::test_a_circle_names_all_who_are_in_it",),
    ),
    Sabotage(
        "an answer that comes early is dropped",
        "runtime/waits.py",
        "self._early[wait_id] = answer",
        "pass",
        (f"{RUNTIME}/test_waits.py::test_an_answer_that_came_early_is_there_when_it_is_waited_for",),
    ),
    Sabotage(
        "others are told before the transaction has its place",
        "runtime/appender.py",
        "append, done, afterwards = batch\n",
        "append, done, afterwards = batch\n        if afterwards is not None:\n            afterwards.is_due = True\n"
        "            self._tidy()\n",
        (f"{RUNTIME}/test_appender_order.py",),
    ),
    Sabotage(
        "a child gets what the node allows and not what its parent has",
        "runtime/conception.py",
        "permissions = decide(node.registry, manifest.capabilities, ceiling=grants)",
        "permissions = decide(node.registry, manifest.capabilities, ceiling=node.ceiling)",
        (f"{RUNTIME}/test_supervision.py::test_a_child_never_gets_more_than_its_parent",),
    ),
    Sabotage(
        "one restart more than the intensity is made",
        "model/supervisor_spec.py",
        "return counted if len(counted) <= self.intensity else None",
        "return counted if len(counted) <= self.intensity + 1 else None",
        (f"{RUNTIME}/test_supervision.py::test_beyond_the_intensity_the_supervisor_gives_up",),
    ),
    Sabotage(
        "a restart exactly a period ago does not count",
        "model/supervisor_spec.py",
        "if now_us - time <= self.period_us)",
        "if now_us - time < self.period_us)",
        (f"{RUNTIME}/test_otp_intensity.py::{AT_THE_END}",),
    ),
    Sabotage(
        "siblings are stopped in the order of their start",
        "model/supervision.py",
        "for member in reversed(reach) if member.alive),",
        "for member in reach if member.alive),",
        (f"{RUNTIME}/test_otp_order.py::test_children_start_in_order_and_stop_the_other_way_round",),
    ),
    Sabotage(
        "the children of who stops are stopped in the order of their start",
        "runtime/directory.py",
        "for child in reversed(self.children(parent)):",
        "for child in self.children(parent):",
        (f"{RUNTIME}/test_otp_order.py::test_a_tree_of_three_levels_stops_from_its_leaves_to_its_root",),
    ),
    Sabotage(
        "who was stopped is restarted",
        "model/supervision.py",
        'if reason.kind == "shutdown":',
        "if False:",
        ("tests/model/test_supervision.py::test_every_policy_with_every_exit_reason",),
    ),
    Sabotage(
        "an order is struck off before what it brings about is recorded",
        "runtime/duties.py",
        'key = EntryKey(own, "duty", order.key)\n',
        'key = EntryKey(own, "duty", order.key)\n'
        '        append = __import__("theater.model.ports", fromlist=["Append"]).Append\n'
        "        self._being.surroundings.node.store.append(append(own, None, (), drops=(key,)), lambda _: None)\n",
        (f"{RUNTIME}/test_family_deaths.py::{DECIDED_ONCE}",),
    ),
    Sabotage(
        "a decision of a supervisor is not made again",
        "runtime/lineage.py",
        "if problem is not None:",
        "if False:",
        (f"{RUNTIME}/test_lineage.py::test_one_more_restart_than_the_intensity_allows",),
    ),
    Sabotage(
        "a timer that has fired stays in the store",
        "runtime/timers.py",
        'drops = (EntryKey(actor, "timer", timer_id),)',
        "drops = ()",
        (f"{RUNTIME}/test_killed_anywhere.py::test_no_firing_is_lost_or_doubled",),
    ),
    Sabotage(
        "suspects go on all at once",
        "runtime/recovery.py",
        "if self._current is not None or not self._waiting:",
        "if not self._waiting:",
        (f"{RUNTIME}/test_guarantees_recovery.py::test_suspects_go_on_one_at_a_time_and_in_turn",),
    ),
    Sabotage(
        "all ids that a step gives out are the same",
        "model/ids.py",
        r'text = f"theater/id/v1\n{actor}\n{message_id}\n{index}"',
        r'text = f"theater/id/v1\n{actor}\n{message_id}"',
        (f"{RUNTIME}/test_guarantees_messages.py::{DERIVED_IDS}",),
    ),
    Sabotage(
        "a blob that a label names is removed",
        "store/blob_table.py",
        "    AND NOT EXISTS (SELECT 1 FROM labels WHERE labels.space = ?1 AND labels.digest = ?2)\n",
        "",
        ("tests/store/test_contract.py",),
    ),
    Sabotage(
        "what a step is about to put takes no room",
        "runtime/space_room.py",
        "        wanted[party] = size_bytes\n",
        "",
        (f"{RUNTIME}/test_spaces.py::test_nobody_takes_the_room_that_a_step_under_way_has_taken",),
    ),
    Sabotage(
        "what was put by a commit that failed stays in memory",
        "runtime/spaces.py",
        "        brought.undone.append(lambda _: self._undone(settled))\n",
        "",
        (f"{RUNTIME}/test_shared_spaces.py::test_what_a_commit_that_fails_would_have_put_is_not_there",),
    ),
    Sabotage(
        "a space that was written in another order than it was seen is not read again",
        "runtime/spaces.py",
        "        known.is_known = False\n        if settled in known.pending:",
        "        if settled in known.pending:",
        (f"{RUNTIME}/test_shared_spaces.py::test_what_is_written_in_another_order_than_it_was_seen_is_read_again",),
    ),
    Sabotage(
        "a space does not end with its actor",
        "store/plan.py",
        "            self.statements += statements_ending(actor)\n",
        "",
        (f"{RUNTIME}/test_spaces.py::test_a_space_ends_with_its_actor",),
    ),
)
