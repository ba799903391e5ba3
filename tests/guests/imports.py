"""The host functions that hand-written guests call, as components import them."""

from tests.guests.component import Import

RUNTIME = "theater:actor/runtime@0.1.0"
TIMING = "theater:actor/timing@0.1.0"
RANDOMNESS = "theater:actor/random@0.1.0"

LOG = Import(
    RUNTIME,
    "log",
    '(param "level" $log-level) (param "text" string)',
    "(param i32 i32 i32)",
    types='(type $ll (enum "trace" "debug" "info" "warn" "error")) (export "log-level" (type $log-level (eq $ll)))',
)
SELF = Import(RUNTIME, "self", "(result string)", "(param i32)")
SHUTDOWN = Import(
    RUNTIME,
    "shutdown",
    '(param "value" (option string)) (result (result (error $error)))',
    "(param i32 i32 i32 i32)",
    types="""(type $e (variant (case "not-json" string) (case "too-large" u64) (case "other" string)))
      (export "error" (type $error (eq $e)))""",
)
SLEEP = Import(
    TIMING,
    "sleep",
    '(param "duration-ms" u64) (result (result (error $error)))',
    "(param i64 i32)",
    types="""(type $e (variant
        (case "denied" string) (case "too-long" u64) (case "too-frequent" u64) (case "invalid-datetime")
        (case "not-json" string) (case "too-large" u64) (case "too-many" u32) (case "unknown-timer" string)
        (case "wait-exhausted") (case "other" string)))
      (export "error" (type $error (eq $e)))""",
)
HEX = Import(
    RANDOMNESS,
    "random-hex",
    '(param "length" u32) (result (result string (error $error)))',
    "(param i32 i32)",
    types="""(type $e (variant (case "too-large" u32) (case "empty-range") (case "other" string)))
      (export "error" (type $error (eq $e)))""",
)
WALL_CLOCK = Import(
    "wasi:clocks/wall-clock@0.2.0",
    "now",
    "(result $datetime)",
    "(param i32)",
    types='(type $d (record (field "seconds" u64) (field "nanoseconds" u32)))'
    ' (export "datetime" (type $datetime (eq $d)))',
)
WASI_RANDOM = Import("wasi:random/random@0.2.0", "get-random-u64", "(result u64)", "(result i64)")
STDOUT = Import(
    "wasi:cli/stdout@0.2.0",
    "get-stdout",
    "(result (own $o))",
    "(result i32)",
    types='(export "output-stream" (type $o (eq $output-stream)))',
    before="""
  (import "wasi:io/streams@0.2.0" (instance $streams (export "output-stream" (type (sub resource)))))
  (alias export $streams "output-stream" (type $output-stream))
""",
)
POLL = Import(
    "wasi:io/poll@0.2.0",
    "poll",
    '(param "in" (list (borrow $p))) (result (list u32))',
    "(param i32 i32 i32)",
    types='(export "pollable" (type $p (sub resource)))',
)
SUBSCRIBE = Import(
    "wasi:clocks/monotonic-clock@0.2.0",
    "subscribe-duration",
    '(param "when" u64) (result (own $p))',
    "(param i64) (result i32)",
    types='(export "pollable" (type $p (eq $pollable)))',
    before="""  (alias export $"wasi:io/poll@0.2.0" "pollable" (type $pollable))
""",
)
"""Needs ``POLL`` before it."""

SPLICING = (
    Import(
        "wasi:io/streams@0.2.0",
        "[method]output-stream.splice",
        '(param "self" (borrow $out)) (param "src" (borrow $in)) (param "len" u64)'
        " (result (result u64 (error $stream-error)))",
        "(param i32 i32 i64 i32)",
        called="splice",
        types="""
    (export "input-stream" (type $in (sub resource)))
    (export "output-stream" (type $out (sub resource)))
    (export "error" (type $e (eq $io-error)))
    (type $se (variant (case "last-operation-failed" (own $e)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $se)))""",
        before='  (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type (sub resource)))))\n'
        '  (alias export $errors "error" (type $io-error))\n',
    ),
    Import(
        "wasi:cli/stdin@0.2.0",
        "get-stdin",
        "(result (own $i))",
        "(result i32)",
        types='(export "input-stream" (type $i (eq $input-stream)))',
        before='  (alias export $"wasi:io/streams@0.2.0" "input-stream" (type $input-stream))\n',
    ),
    Import(
        "wasi:cli/stdout@0.2.0",
        "get-stdout",
        "(result (own $o))",
        "(result i32)",
        types='(export "output-stream" (type $o (eq $output-stream)))',
        before='  (alias export $"wasi:io/streams@0.2.0" "output-stream" (type $output-stream))\n',
    ),
)
"""To move what comes from stdin to stdout."""
