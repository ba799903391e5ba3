"""Requests made from the API's own description, valid and not, against a server process with actors behind it.

Whatever comes: no answer is the server's fault, each has a status that the description lists for it, and the headers,
the media type and the shape that it promises; and what the description does not allow is refused.

    THEATER_FUZZ=3000 pytest -n 2 tests/server/test_fuzz.py     # so many examples for each operation, new ones each time
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.config import GenerationConfig
from schemathesis.generation.modes import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from schemathesis.transport.serialization import serialize_binary

from tests.guests import puppet, wat
from tests.runtime.stage import Workshop
from tests.runtime.troupe import text_of
from tests.server.players import Players, peopled_server

pytestmark = pytest.mark.slow

EXPLORED = os.environ.get("THEATER_FUZZ")
EXAMPLES = int(EXPLORED or 10)
PATIENCE_S = 20.0
DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"

SPEAKER = text_of(handlers=("channels",))
CAST = {
    "counter": (wat.COUNTER, ""),
    "echo": (wat.ECHO, ""),
    "refuser": (wat.REFUSE, ""),
    "crasher": (wat.TRAP, ""),
    "speaker": (SPEAKER, "".join(f"[capabilities.{name}]\n" for name in ("messaging", "supervisor", "timing"))),
}
"""Those of whom the requests know. They come back, whatever is done to them."""

# These stand for what there is only when a server runs.
CHANNEL = "c0ffee"
DIGEST = "c0ffee" + "0" * 58

ACCEPTED = 202
SPEAKS = puppet.send_on_channel(puppet.ABOUT, puppet.Json("[1]"))
WAITS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?\s*(us|ms|s|m|h|d)\Z")

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
    allow_header_conformance,
    ignored_auth,
]
ENDS_IT = frozenset({"removeActor", "stopActor", "pauseActor", "restartActor", "upgradeActor", "closeChannel"})


def described() -> schemathesis.schemas.BaseSchema:
    """The description, which names things that are there besides all that could be."""
    document = json.loads(DOCUMENT.read_bytes())
    known = {"/v1/actors/{id}": list(CAST), "/v1/channels/{id}": [CHANNEL], "/v1/blobs/{digest}": [DIGEST]}
    for path, operations in document["paths"].items():
        for start, values in known.items():
            for operation in operations.values() if path.startswith(start) else ():
                parameter = operation["parameters"][0]
                assert parameter["in"] == "path"
                parameter["schema"] = {"anyOf": [{"enum": values}, parameter["schema"]]}
    manifests = [f'name = "{name}"\ncomponent = "sha256:{DIGEST}"' for name in ("extra", "further")]
    orders = document["components"]["schemas"]
    for order, name, values in (
        ("StartOrder", "manifest", manifests),
        ("StartOrder", "component", [DIGEST]),
        ("UpgradeOrder", "component", [DIGEST]),
    ):
        property_ = orders[order]["properties"]
        property_[name] = {"anyOf": [{"enum": values}, property_[name]]}
    return schemathesis.openapi.from_dict(document)


@schemathesis.serializer("application/zip")
def zipped(_context: schemathesis.SerializationContext, value: object) -> object:
    """A body as it stands: schemathesis knows of no bundles."""
    return serialize_binary(value)


load_all_checks()
SCHEMA = described()
OPERATIONS = {result.ok().definition.raw["operationId"]: result.ok() for result in SCHEMA.get_all_operations()}
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


class Fuzzed:
    """The server, and how a case is put to it."""

    def __init__(self, players: Players) -> None:
        self.players = players
        self.server = players.server
        self.session = requests.Session()
        self.digest = players.digest(wat.COUNTER)
        self.channel = ""
        self.asked = 0

    def prepare(self) -> None:
        """Everything that requests know of is there."""
        for name, (text, more) in CAST.items():
            self.players.revive(text, name, more)
        if self.say() != ACCEPTED:
            opened = self.server.post("/v1/actors/speaker/channels", puppet.reply("welcome"))
            assert opened.status == 201, opened
            self.channel = str(opened.document["channel"])
            assert self.say() == ACCEPTED

    def say(self) -> int:
        """Have the actor at the other end of the channel say something."""
        return self.server.post(f"/v1/channels/{self.channel or CHANNEL}/messages", SPEAKS).status

    def put(self, case: Case) -> None:
        """Ask, and look at the answer."""
        operation = case.operation.definition.raw["operationId"]
        self.fill_in(case, operation)
        headers = {"Authorization": f"Bearer {self.server.token}"}
        case.call_and_validate(
            base_url=self.server.url,
            session=self.session,
            headers=headers,
            checks=CHECKS,
            timeout=PATIENCE_S,
        )
        self.asked += 1
        if operation in ENDS_IT:
            self.prepare()

    def fill_in(self, case: Case, operation: str) -> None:
        path = case.path_parameters
        for name, there, value in (("id", CHANNEL, self.channel), ("digest", DIGEST, self.digest)):
            if path.get(name) == there:
                path[name] = value
        body = case.body
        if isinstance(body, dict):
            for name, value in body.items():
                if isinstance(value, str):
                    body[name] = value.replace(DIGEST, self.digest)
        if operation == "hearChannel" and isinstance(case.query, dict) and WAITS.match(str(case.query.get("wait"))):
            case.query["wait"] = "1ms"


@pytest.fixture(scope="module")
def fuzzed(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with peopled_server(workshop, tmp_path_factory.mktemp("fuzzed"), texts=[text for text, _ in CAST.values()]) as (server, players):
        made = Fuzzed(players)
        yield made
        made.session.close()
        assert server.stop() == 0, server.log
        assert " error " not in server.log, server.log


@pytest.mark.parametrize("operation", OPERATIONS)
def test_whatever_is_asked_the_answer_is_as_described(fuzzed: Fuzzed, operation: str) -> None:
    asked = OPERATIONS[operation]
    fuzzed.prepare()
    for case in SCHEMA.iter_coverage_cases(asked, generation_modes=MODES, generation_config=GenerationConfig()):
        fuzzed.put(case)
    for mode in MODES:
        if mode is GenerationMode.POSITIVE or can_be_wrong(asked):
            fuzz(fuzzed, asked, mode)


def fuzz(fuzzed: Fuzzed, operation: APIOperation, mode: GenerationMode) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=EXPLORED is None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def asked(case: Case) -> None:
        fuzzed.put(case)

    asked()


def can_be_wrong(operation: APIOperation) -> bool:
    """Whether there is anything in a request to it."""
    return bool(operation.path_parameters or operation.query or operation.headers or operation.body)
