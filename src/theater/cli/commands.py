"""Every command there is, by name: where it is at home, and the line that says what it does.

None of them is imported before it is asked for, so a command costs what it needs itself and no more, and the list of
them all costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_COMMAND = "theater.cli.session:Command"


@dataclass(frozen=True, slots=True)
class Row:
    """A command. ``home`` and ``kind`` are ``module:name``: its function, and the class of its parser.

    A group of commands has ``members``; one without a home does nothing of itself but show them.
    """

    panel: str
    home: str | None
    help: str
    """The first line of the function's docstring, word for word."""
    kind: str = _COMMAND
    members: Mapping[str, Row] = field(default_factory=dict)


_MAKE = "Make"
_RUN = "Run"
_ACTORS = "Actors"
_TALK = "Talk"
_LOOK = "Look"
_PROVE = "Prove"
_KEEP = "Keep"
_HELP = "Help"

_TOKEN: Mapping[str, Row] = MappingProxyType(
    {
        "add": Row(_KEEP, "theater.cli.tokens:add", "Make a token and print it: it is shown this once."),
        "list": Row(_KEEP, "theater.cli.tokens:list_tokens", "List the tokens that a server takes."),
        "rm": Row(_KEEP, "theater.cli.tokens:remove", "Take a token back: from now on no server takes it."),
    }
)

_CONFIG: Mapping[str, Row] = MappingProxyType(
    {"token": Row(_KEEP, None, "Who may ask a server, and for what.", members=_TOKEN)}
)

_GRANTS: Mapping[str, Row] = MappingProxyType(
    {
        "suggest": Row(
            _PROVE,
            "theater.cli.suggestion:suggest",
            "Find the least manifest that recorded histories pass under, and prove it by running every step again.",
        )
    }
)

ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "create": Row(
            _MAKE, "theater.cli.make:create", "Make a small project: a manifest, a source, a README and a test."
        ),
        "build": Row(
            _MAKE,
            "theater.cli.make:build",
            "Build a project's component, unless nothing has changed since it was built.",
        ),
        "validate": Row(
            _MAKE,
            "theater.cli.inspection:validate",
            "Check a manifest and its component, and show the grants and limits that would be in force.",
        ),
        "inspect-component": Row(
            _MAKE,
            "theater.cli.inspection:inspect_component",
            "Show what a component is: digest, size, role, what it imports and who answers that, what it exports.",
        ),
        "watch": Row(
            _MAKE,
            "theater.cli.watch:watch",
            "Build a project and start its actor; build and upgrade it again whenever a file changes, keeping "
            "its state.",
        ),
        "run": Row(
            _RUN,
            "theater.cli.run:run",
            "Start an actor, or go on with one, and give it messages in the order given.",
            kind="theater.cli.run:RunCommand",
        ),
        "server": Row(_RUN, "theater.cli.serve:server", "Serve the data directory over HTTP, until SIGTERM or SIGINT."),
        "start": Row(
            _ACTORS,
            "theater.cli.start:start",
            "Have the server start an actor, and print its id. It goes on until it is stopped.",
        ),
        "list": Row(_ACTORS, "theater.cli.look:list_actors", "List the actors, oldest first."),
        "tree": Row(
            _ACTORS, "theater.cli.tree:tree", "Show the actors as a tree: who supervises whom, and how each is."
        ),
        "top": Row(_ACTORS, "theater.cli.top:top", "Show what the actors of a server are doing, the busiest first."),
        "inspect": Row(_ACTORS, "theater.cli.inspect_actor:inspect", "Show everything about one actor."),
        "stop": Row(
            _ACTORS,
            "theater.cli.actors:stop",
            "Stop actors, each with its children; they take no more messages until they are restarted.",
        ),
        "restart": Row(
            _ACTORS,
            "theater.cli.actors:restart",
            "Have actors begin again that were stopped or have crashed; what waits in their mailboxes is still there.",
        ),
        "pause": Row(
            _ACTORS, "theater.cli.actors:pause", "Have actors begin no further step: messages are taken, and wait."
        ),
        "resume": Row(_ACTORS, "theater.cli.actors:resume", "Have actors go on that were paused."),
        "upgrade": Row(
            _ACTORS,
            "theater.cli.upgrade:upgrade",
            "Have an actor go on with another component, between two steps, with its state, mailbox and grants.",
        ),
        "fork": Row(
            _ACTORS,
            "theater.cli.fork:fork",
            "Make a new actor that goes on from where another one once was, with the state alone.",
        ),
        "rm": Row(
            _ACTORS,
            "theater.cli.remove:remove",
            "Remove actors that were stopped or have crashed: what they recorded is erased, for good.",
        ),
        "send": Row(
            _TALK,
            "theater.cli.talk:send",
            "Send an actor a message, and print the message's id once it is accepted: it will be handled once.",
        ),
        "request": Row(
            _TALK,
            "theater.cli.talk:request",
            "Send an actor a message, wait for its reply, and print that. Exits 1 after a refusal or a crash.",
        ),
        "channel": Row(
            _TALK,
            "theater.cli.channel:channel",
            "Open a channel to an actor: each line of stdin, a JSON text, is said to it, and what it says is printed.",
        ),
        "events": Row(
            _LOOK,
            "theater.cli.look:events",
            "Show an actor's events, a line each: seq, time, kind, name, and the field that says most.",
        ),
        "subscribe": Row(
            _LOOK, "theater.cli.subscribe:subscribe", "Show an actor's last events, and then each one as it comes."
        ),
        "logs": Row(_LOOK, "theater.cli.look:logs", "Show what an actor wrote: its stdout, stderr and log."),
        "state": Row(_LOOK, "theater.cli.look:state", "Show an actor's state, now or as of any of its events."),
        "verify": Row(
            _PROVE,
            "theater.cli.prove:verify",
            "Verify a chain: every header, link and commitment, then every step, run again and compared.",
        ),
        "replay": Row(
            _PROVE,
            "theater.cli.prove:replay",
            "Run a chain's steps again, with every answer from the chain, and compare.",
        ),
        "grants": Row(_PROVE, None, "What actors are granted, and what of it they need.", members=_GRANTS),
        "export": Row(
            _PROVE,
            "theater.cli.keep:export",
            "Write an actor's chain into a file, with all that it takes to verify it elsewhere.",
        ),
        "import": Row(
            _PROVE,
            "theater.cli.keep:import_bundle",
            "Take in an actor from a bundle, stopped, with its whole history and its component.",
        ),
        "gc": Row(
            _KEEP,
            "theater.cli.keep:gc",
            "Remove what is of no use to anybody: components of no chain, and what actors that are gone left behind.",
        ),
        "backup": Row(
            _KEEP,
            "theater.cli.keep:backup",
            "Copy the whole data directory, as it is at one moment, also while a server works on it.",
        ),
        "config": Row(
            _KEEP,
            "theater.cli.keep:show_config",
            "Show what is in force, and where each value came from.",
            members=_CONFIG,
        ),
        "shell": Row(
            _HELP,
            "theater.cli.shell:shell",
            "Type one command after the other, with a history and completion. Ends with Ctrl-D, exit or quit.",
        ),
        "completion": Row(
            _HELP, "theater.cli.completion:completion", "Print a script that makes a shell complete what is typed."
        ),
        "version": Row(
            _HELP,
            "theater.cli.version:version",
            "Show the versions of Theater, its engine and Python, and the platform.",
        ),
    }
)
"""In the order in which they are shown."""
