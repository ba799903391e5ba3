"""The manifest: what an actor is, and what it *asks* for. What it gets is decided elsewhere.

``${NAME}`` and ``${NAME:-default}`` are replaced after parsing, inside string values only, never in keys, and never
from the environment unasked: a manifest comes with the code that nobody trusts. A string that is exactly ``${NAME}``
takes the value's own JSON type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from theater.errors import InvalidInput, InvalidJson, InvalidManifest
from theater.model.ids import is_actor_id
from theater.model.json_text import check_json
from theater.model.limits import Limits, parse_limits
from theater.model.spelling import nearest
from theater.model.supervision_table import Supervision, parse_supervision
from theater.model.toml_text import parse_toml

InstanceMode = Literal["fresh", "warm"]

MANIFEST_MAX_BYTES = 256 * 1024
_KEYS = ("name", "component", "params", "instance", "limits", "supervision", "capabilities")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}\Z")
# A default has no braces in it: else a text of unclosed placeholders would be searched to its end from each of them,
# and nothing else runs while an expression is being matched.
_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_-]*)(?::-([^{}]*))?\}")
_PARAMS_MAX_BYTES = 2**20
_REPLACED_MAX = 4 * 2**20
"""Characters that may take the place of placeholders, all together: one long value named often would be any size."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest with every placeholder replaced.

    ``params`` is a JSON text; ``capabilities`` are the raw tables asked for, by name; ``settings`` are the values that
    replaced placeholders, kept so that anybody can repeat the reading of ``text``. ``folder`` is the absolute path of
    the one that it was read from, which paths in it are relative to; None: it came without one.
    """

    text: str
    name: str
    component: str
    params: str
    instance: InstanceMode
    limits: Limits
    capabilities: dict[str, dict[str, object]]
    settings: dict[str, object]
    supervision: Supervision
    folder: str | None = None


def is_name(text: str) -> bool:
    """Whether an actor may be called that. What could be an id is no name: it would be taken for that actor."""
    return _NAME.match(text) is not None and not is_actor_id(text)


def check_name(name: object) -> str:
    """``name``, if an actor may be called that. Raises ``InvalidManifest``."""
    if not isinstance(name, str) or not is_name(name):
        raise InvalidManifest(
            f"name = {name!r}: use 1 to 63 of a-z, 0-9 and '-', beginning with a letter, and not what could be an id"
        )
    return name


def parse_manifest(
    text: str,
    *,
    settings: Mapping[str, object] | None = None,
    params: str | None = None,
    folder: str | None = None,
) -> Manifest:
    """Read a manifest, which was found in ``folder``, if in any.

    ``settings`` replace placeholders; so do the members of ``params`` where that is an object. ``params``, a JSON text,
    takes the place of the manifest's own.

    Raises:
        InvalidManifest: naming the key and, for an unknown one, the nearest known.
        InvalidJson: ``params`` is not JSON.
    """
    table = _read_toml(text)
    _refuse_unknown(table)
    replacing = _Replacing(_members(params) | dict(settings or {}))
    table = {key: replacing.replace(value, where=key) for key, value in table.items()}
    name = check_name(table.get("name"))
    component = table.get("component")
    if not isinstance(component, str) or not component:
        raise InvalidManifest('component is missing: name a file, as in component = "build/counter.wasm"')
    instance = table.get("instance", "fresh")
    if instance not in ("fresh", "warm"):
        raise InvalidManifest(f'instance = {instance!r}: write "fresh" (the default) or "warm"')
    return Manifest(
        text=text,
        name=name,
        component=component,
        params=params if params is not None else _params_text(table.get("params", {})),
        instance=instance,
        limits=parse_limits(_table(table, "limits")),
        capabilities={key: _table(_table(table, "capabilities"), key) for key in _table(table, "capabilities")},
        settings=replacing.used,
        supervision=parse_supervision(_table(table, "supervision")),
        folder=folder,
    )


def bare_manifest(name: str, component: str) -> str:
    """The manifest text of a component that is run without one: it asks for nothing."""
    # a JSON text is a TOML text if it has no surrogate escapes, and no DEL as it is
    quoted = json.dumps(component, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f'name = "{name}"\ncomponent = {quoted}\n'


def _read_toml(text: str) -> dict[str, object]:
    if len(text.encode("utf-8", "surrogatepass")) > MANIFEST_MAX_BYTES:
        raise InvalidManifest(f"the manifest is larger than {MANIFEST_MAX_BYTES} bytes")
    try:
        return parse_toml(text)
    except InvalidInput as error:
        raise InvalidManifest(f"the manifest is not TOML: {error}") from error


def _refuse_unknown(table: Mapping[str, object]) -> None:
    for key in table:
        if key not in _KEYS:
            raise InvalidManifest(f"a manifest has no key {key!r}{nearest(key, _KEYS)}")


def _table(parent: Mapping[str, object], key: str) -> dict[str, object]:
    value = parent.get(key, {})
    if not isinstance(value, dict):
        raise InvalidManifest(f"{key} must be a table, written [{key}]")
    return value


def _members(params: str | None) -> dict[str, object]:
    if params is None:
        return {}
    check_json(params, max_bytes=_PARAMS_MAX_BYTES)
    try:
        value = json.loads(params)
    except (ValueError, RecursionError):  # JSON all the same, but beyond what this parser reads: no placeholder is that
        return {}
    return value if isinstance(value, dict) else {}


def _params_text(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        check_json(text, max_bytes=_PARAMS_MAX_BYTES)
    except (TypeError, ValueError, InvalidJson) as error:
        raise InvalidManifest(f"params cannot be written as JSON: {error}") from error
    return text


class _Replacing:
    """The values of placeholders; which of them were used, and how much room is left for them."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values
        self._sizes: dict[str, int] = {}
        self._left = _REPLACED_MAX
        self.used: dict[str, object] = {}

    def replace(self, value: object, *, where: str) -> object:
        """``value`` with every placeholder replaced. Raises ``InvalidManifest``."""
        match value:
            case dict():
                return {key: self.replace(item, where=f"{where}.{key}") for key, item in value.items()}
            case list():
                return [self.replace(item, where=where) for item in value]
            case str():
                return self._replace_text(value, where=where)
            case _:
                return value

    def _replace_text(self, text: str, *, where: str) -> object:
        whole = _PLACEHOLDER.fullmatch(text)
        if whole is not None:
            return self._value_of(whole, where)

        def as_text(match: re.Match[str]) -> str:
            value = self._value_of(match, where)
            if isinstance(value, (dict, list)) or value is None:
                raise InvalidManifest(
                    f"{where}: ${{{match[1]}}} stands inside a longer text, so it must be a plain value"
                )
            return value if isinstance(value, str) else json.dumps(value)

        return _PLACEHOLDER.sub(as_text, text)

    def _value_of(self, match: re.Match[str], where: str) -> object:
        name, default = match[1], match[2]
        if name not in self._values:
            if default is None:
                raise InvalidManifest(f"{where} needs a value for ${{{name}}}: pass --set {name}=VALUE")
            return default
        value = self.used[name] = self._values[name]
        if name not in self._sizes:
            self._sizes[name] = len(value if isinstance(value, str) else json.dumps(value))
        self._left -= self._sizes[name]
        if self._left < 0:
            raise InvalidManifest(f"{where}: its placeholders become more than {_REPLACED_MAX} characters")
        return value


def parse_setting(text: str) -> tuple[str, object]:
    """``NAME=VALUE`` of ``--set``; VALUE is JSON where it reads as JSON, else text. Raises ``InvalidInput``."""
    name, equals, raw = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
        raise InvalidInput(f"--set {text!r}: write NAME=VALUE")
    try:
        check_json(raw, max_bytes=_PARAMS_MAX_BYTES)
        return name, json.loads(raw)
    except (InvalidJson, ValueError, RecursionError):
        return name, raw
