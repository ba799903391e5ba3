"""A guest of ``wasi:http`` that asks the web what its message says.

A message to ``ASK`` is a text of items with ``|`` between them: ``METHOD AUTHORITY PATH[ BODY]``, or ``wait
MILLISECONDS``. All requests are handed over first, then their bodies are written and finished, then the guest polls for
all answers and timers. The reply has what came, in the order in which it came, with ``|`` behind each: ``0:200 body``
for the first item, ``0:error N`` by the number of the error's case, ``0:refused N`` where the request was not taken at
all, and ``0:tick`` for a timer. Timers alone are not waited for.

``SERVICE`` answers requests: 200, with the path and then the body in the body, both written behind the answer. By the
path it does otherwise: ``/none`` gives no answer, ``/error`` an error (``loop-detected``), ``/trap`` traps, ``/open``
leaves the body unfinished, ``/empty`` has no body, ``/early`` answers 103.
"""

from tests.guests.component import Import, actor, service
from theater.capabilities.wasi_http_codes import ERROR_CODE

IO = "0.2.0"
ERRORS = tuple(name for name, _ in ERROR_CODE.cases)
"""The cases of ``error-code``: their places are the numbers that the guest says."""

_ERROR = f"wasi:io/error@{IO}"
_POLL = f"wasi:io/poll@{IO}"
_STREAMS = f"wasi:io/streams@{IO}"
_CLOCK = f"wasi:clocks/monotonic-clock@{IO}"
HTTP = f"wasi:http/types@{IO}"
_HANDLER = f"wasi:http/outgoing-handler@{IO}"

_PAYLOADS = {
    "DNS-error": " $dns-error-payload",
    "TLS-alert-received": " $tls-alert-received-payload",
    "HTTP-request-header-size": " (option $field-size-payload)",
    "HTTP-request-trailer-size": " $field-size-payload",
    "HTTP-response-header-size": " $field-size-payload",
    "HTTP-response-trailer-size": " $field-size-payload",
    "HTTP-request-body-size": " (option u64)",
    "HTTP-response-body-size": " (option u64)",
    "HTTP-request-header-section-size": " (option u32)",
    "HTTP-request-trailer-section-size": " (option u32)",
    "HTTP-response-header-section-size": " (option u32)",
    "HTTP-response-trailer-section-size": " (option u32)",
    "HTTP-response-transfer-coding": " (option string)",
    "HTTP-response-content-coding": " (option string)",
    "internal-error": " (option string)",
}
_ERROR_CODE = "".join(f'(case "{name}"{_PAYLOADS.get(name, "")})' for name in ERRORS)
_METHODS = ("get", "head", "post", "put", "delete", "connect", "options", "trace", "patch")

_HTTP_TYPES = f"""
    (export "input-stream" (type $in (eq $input-stream)))
    (export "output-stream" (type $out (eq $output-stream)))
    (export "pollable" (type $p (eq $pollable)))
    (type $m (variant {"".join(f'(case "{name}")' for name in _METHODS)} (case "other" string)))
    (export "method" (type $method (eq $m)))
    (type $s (variant (case "HTTP") (case "HTTPS") (case "other" string))) (export "scheme" (type $scheme (eq $s)))
    (type $d (record (field "rcode" (option string)) (field "info-code" (option u16))))
    (export "DNS-error-payload" (type $dns-error-payload (eq $d)))
    (type $t (record (field "alert-id" (option u8)) (field "alert-message" (option string))))
    (export "TLS-alert-received-payload" (type $tls-alert-received-payload (eq $t)))
    (type $f (record (field "field-name" (option string)) (field "field-size" (option u32))))
    (export "field-size-payload" (type $field-size-payload (eq $f)))
    (type $c (variant {_ERROR_CODE})) (export "error-code" (type $code (eq $c)))
    (type $h (variant (case "invalid-syntax") (case "forbidden") (case "immutable")))
    (export "header-error" (type $header-error (eq $h)))
    (export "fields" (type $fields (sub resource)))
    (export "outgoing-request" (type $outgoing-request (sub resource)))
    (export "request-options" (type $request-options (sub resource)))
    (export "outgoing-body" (type $outgoing-body (sub resource)))
    (export "incoming-response" (type $incoming-response (sub resource)))
    (export "incoming-body" (type $incoming-body (sub resource)))
    (export "future-incoming-response" (type $future (sub resource)))
    (export "incoming-request" (type $incoming-request (sub resource)))
    (export "outgoing-response" (type $outgoing-response (sub resource)))
    (export "response-outparam" (type $outparam (sub resource)))"""

_ALIASES = "".join(
    f'  (alias export $"{HTTP}" "{name}" (type $http-{name}))\n'
    for name in ("outgoing-request", "request-options", "future-incoming-response", "error-code")
)


def _method(resource: str, name: str, rest: str, core: str, called: str, *, self: str = "") -> Import:
    of = self or resource
    return Import(HTTP, f"[method]{resource}.{name}", f'(param "self" (borrow ${of})) {rest}', core, called=called)


IO_IMPORTS = (
    Import(
        _POLL,
        "poll",
        '(param "in" (list (borrow $p))) (result (list u32))',
        "(param i32 i32 i32)",
        types='(export "pollable" (type $p (sub resource)))',
        before=f'  (import "{_ERROR}" (instance $errors (export "error" (type (sub resource)))))\n'
        '  (alias export $errors "error" (type $io-error))\n',
    ),
    Import(
        _POLL,
        "[method]pollable.ready",
        '(param "self" (borrow $p)) (result bool)',
        "(param i32) (result i32)",
        called="ready",
    ),
    Import(
        _STREAMS,
        "[method]input-stream.blocking-read",
        '(param "self" (borrow $in)) (param "len" u64) (result (result (list u8) (error $stream-error)))',
        "(param i32 i64 i32)",
        called="read",
        types="""
    (export "input-stream" (type $in (sub resource)))
    (export "output-stream" (type $out (sub resource)))
    (export "error" (type $e (eq $io-error)))
    (type $se (variant (case "last-operation-failed" (own $e)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $se)))""",
        before=f'  (alias export $"{_POLL}" "pollable" (type $pollable))\n',
    ),
    Import(
        _STREAMS,
        "[method]output-stream.blocking-write-and-flush",
        '(param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $stream-error)))',
        "(param i32 i32 i32 i32)",
        called="write-body",
    ),
    Import(_STREAMS, "output-stream", "", "(param i32)", called="drop-output", drops=True),
)

_CLOCK_IMPORT = Import(
    _CLOCK,
    "subscribe-duration",
    '(param "when" u64) (result (own $p))',
    "(param i64) (result i32)",
    types='(export "pollable" (type $p (eq $pollable)))',
)

FIELDS = Import(
    HTTP,
    "[constructor]fields",
    "(result (own $fields))",
    "(result i32)",
    called="new-fields",
    types=_HTTP_TYPES,
    before=f"""  (alias export $"{_STREAMS}" "input-stream" (type $input-stream))
  (alias export $"{_STREAMS}" "output-stream" (type $output-stream))
""",
)
WRITE = (
    _method("outgoing-body", "write", "(result (result (own $out)))", "(param i32 i32)", "open-body"),
    Import(
        HTTP,
        "[static]outgoing-body.finish",
        '(param "this" (own $outgoing-body)) (param "trailers" (option (own $fields))) (result (result (error $code)))',
        "(param i32 i32 i32 i32)",
        called="finish-body",
    ),
)
READ = (_method("incoming-body", "stream", "(result (result (own $in)))", "(param i32 i32)", "open-input"),)
_ASKING = (
    Import(
        HTTP,
        "[constructor]outgoing-request",
        '(param "headers" (own $fields)) (result (own $outgoing-request))',
        "(param i32) (result i32)",
        called="new-request",
    ),
    _method(
        "outgoing-request",
        "set-method",
        '(param "method" $method) (result (result))',
        "(param i32 i32 i32 i32) (result i32)",
        "set-method",
    ),
    _method(
        "outgoing-request",
        "set-scheme",
        '(param "scheme" (option $scheme)) (result (result))',
        "(param i32 i32 i32 i32 i32) (result i32)",
        "set-scheme",
    ),
    _method(
        "outgoing-request",
        "set-authority",
        '(param "authority" (option string)) (result (result))',
        "(param i32 i32 i32 i32) (result i32)",
        "set-authority",
    ),
    _method(
        "outgoing-request",
        "set-path-with-query",
        '(param "path-with-query" (option string)) (result (result))',
        "(param i32 i32 i32 i32) (result i32)",
        "set-path",
    ),
    _method("outgoing-request", "body", "(result (result (own $outgoing-body)))", "(param i32 i32)", "request-body"),
    _method(
        "future-incoming-response",
        "subscribe",
        "(result (own $p))",
        "(param i32) (result i32)",
        "subscribe",
        self="future",
    ),
    _method(
        "future-incoming-response",
        "get",
        "(result (option (result (result (own $incoming-response) (error $code)))))",
        "(param i32 i32)",
        "get",
        self="future",
    ),
    _method("incoming-response", "status", "(result u16)", "(param i32) (result i32)", "status"),
    _method("incoming-response", "consume", "(result (result (own $incoming-body)))", "(param i32 i32)", "consume"),
)
_HANDLE = Import(
    _HANDLER,
    "handle",
    '(param "request" (own $request)) (param "options" (option (own $options)))'
    " (result (result (own $future) (error $code)))",
    "(param i32 i32 i32 i32)",
    called="send",
    types="""
    (export "outgoing-request" (type $request (eq $http-outgoing-request)))
    (export "request-options" (type $options (eq $http-request-options)))
    (export "future-incoming-response" (type $future (eq $http-future-incoming-response)))
    (export "error-code" (type $code (eq $http-error-code)))""",
    before=_ALIASES,
)

# An item has 32 bytes: its answer, its pollable, the text of its body and its length, and the body itself.
_ASK = """(local $list i32) (local $count i32) (local $left i32) (local $i i32)
    (global.set $items (call $reserve (i32.const 2048)))
    (memory.fill (global.get $items) (i32.const 0) (i32.const 2048))
    (local.set $list (call $reserve (i32.const 256)))
    (call $begin) (call $put @"\\"")
    (global.set $at (i32.add (local.get $body) (i32.const 1)))
    (global.set $end (i32.add (local.get $body) (i32.sub (local.get $body-len) (i32.const 1))))
    (global.set $count (i32.const 0))
    (loop $parse
      (call $item (global.get $count))
      (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (br_if $parse (i32.lt_u (global.get $at) (global.get $end))))
    (loop $write
      (call $write-item (local.get $i))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $write (i32.lt_u (local.get $i) (global.get $count))))
    (block $done (loop $again
      (local.set $i (i32.const 0)) (local.set $count (i32.const 0)) (local.set $left (i32.const 0))
      (loop $next
        (if (i32.load (call $entry (local.get $i))) (then (local.set $left (i32.const 1))))
        (if (i32.load offset=4 (call $entry (local.get $i))) (then
          (i32.store (i32.add (local.get $list) (i32.shl (local.get $count) (i32.const 2)))
            (i32.load offset=4 (call $entry (local.get $i))))
          (local.set $count (i32.add (local.get $count) (i32.const 1)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $i) (global.get $count))))
      (br_if $done (i32.eqz (local.get $left)))
      (call $poll (local.get $list) (local.get $count) (i32.const 64))
      (local.set $i (i32.const 0))
      (loop $look
        (call $look-at (local.get $i))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $look (i32.lt_u (local.get $i) (global.get $count))))
      (br $again)))
    (call $put @"\\"")
    (call $ok (local.get $state) (local.get $state-len) (global.get $out) (global.get $out-len))"""
_MORE = """
  (global $items (mut i32) (i32.const 0))
  (global $count (mut i32) (i32.const 0))
  (global $at (mut i32) (i32.const 0))
  (global $end (mut i32) (i32.const 0))
  (global $word (mut i32) (i32.const 0))
  (global $word-len (mut i32) (i32.const 0))
  (func $entry (param $i i32) (result i32) (i32.add (global.get $items) (i32.shl (local.get $i) (i32.const 5))))
  (func $next-word (param $ends-at-blank i32) (result i32) (local $c i32) ;; whether the item goes on behind it
    (global.set $word (global.get $at))
    (block $ended (loop $next
      (local.set $c (i32.const 124))
      (br_if $ended (i32.ge_u (global.get $at) (global.get $end)))
      (local.set $c (i32.load8_u (global.get $at)))
      (br_if $ended (i32.eq (local.get $c) (i32.const 124)))
      (br_if $ended (i32.and (i32.eq (local.get $c) (i32.const 32)) (local.get $ends-at-blank)))
      (global.set $at (i32.add (global.get $at) (i32.const 1)))
      (br $next)))
    (global.set $word-len (i32.sub (global.get $at) (global.get $word)))
    (global.set $at (i32.add (global.get $at) (i32.const 1)))
    (i32.eq (local.get $c) (i32.const 32)))
  (func $label (param $i i32) (call $put-number (i64.extend_i32_u (local.get $i))) (call $put @":"))
  (func $item (param $i i32) (local $request i32) (local $more i32)
    (drop (call $next-word (i32.const 1)))
    (if (call $is (global.get $word) (global.get $word-len) @"wait")
      (then
        (drop (call $next-word (i32.const 1)))
        (i32.store offset=4 (call $entry (local.get $i)) (call $subscribe-duration
          (i64.mul (i64.const 1000000) (call $number (global.get $word) (global.get $word-len) @"" (i64.const 0)))))
        (return)))
    (local.set $request (call $new-request (call $new-fields)))
    (drop (call $set-method (local.get $request) (i32.const 9) (global.get $word) (global.get $word-len)))
    (drop (call $set-scheme (local.get $request) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
    (drop (call $next-word (i32.const 1)))
    (drop (call $set-authority (local.get $request) (i32.const 1) (global.get $word) (global.get $word-len)))
    (local.set $more (call $next-word (i32.const 1)))
    (drop (call $set-path (local.get $request) (i32.const 1) (global.get $word) (global.get $word-len)))
    (if (local.get $more)
      (then
        (drop (call $next-word (i32.const 0)))
        (i32.store offset=8 (call $entry (local.get $i)) (global.get $word))
        (i32.store offset=12 (call $entry (local.get $i)) (global.get $word-len))
        (call $request-body (local.get $request) (i32.const 64))
        (i32.store offset=16 (call $entry (local.get $i)) (i32.load offset=4 (i32.const 64)))))
    (call $send (local.get $request) (i32.const 0) (i32.const 0) (i32.const 64))
    (if (i32.load8_u (i32.const 64))
      (then
        (call $label (local.get $i)) (call $put @"refused ")
        (call $put-number (i64.load8_u offset=8 (i32.const 64))) (call $put @"|")
        (return)))
    (i32.store (call $entry (local.get $i)) (i32.load offset=8 (i32.const 64)))
    (i32.store offset=4 (call $entry (local.get $i)) (call $subscribe (i32.load offset=8 (i32.const 64)))))
  (func $write-item (param $i i32) (local $body i32) (local $stream i32)
    (local.set $body (i32.load offset=16 (call $entry (local.get $i))))
    (if (i32.eqz (local.get $body)) (then (return)))
    (call $open-body (local.get $body) (i32.const 64))
    (local.set $stream (i32.load offset=4 (i32.const 64)))
    (call $write-body (local.get $stream) (i32.load offset=8 (call $entry (local.get $i)))
      (i32.load offset=12 (call $entry (local.get $i))) (i32.const 64))
    (call $drop-output (local.get $stream))
    (call $finish-body (local.get $body) (i32.const 0) (i32.const 0) (i32.const 64)))
  (func $look-at (param $i i32) (local $future i32)
    (local.set $future (i32.load (call $entry (local.get $i))))
    (if (i32.eqz (local.get $future))
      (then
        (if (i32.eqz (i32.load offset=4 (call $entry (local.get $i)))) (then (return)))
        (if (i32.eqz (call $ready (i32.load offset=4 (call $entry (local.get $i))))) (then (return)))
        (call $label (local.get $i)) (call $put @"tick|"))
      (else
        (call $get (local.get $future) (i32.const 64))
        (if (i32.eqz (i32.load8_u (i32.const 64))) (then (return)))
        (call $label (local.get $i))
        (if (i32.load8_u offset=16 (i32.const 64))
          (then (call $put @"error ") (call $put-number (i64.load8_u offset=24 (i32.const 64))))
          (else (call $put-response (i32.load offset=24 (i32.const 64)))))
        (call $put @"|")
        (i32.store (call $entry (local.get $i)) (i32.const 0))))
    (i32.store offset=4 (call $entry (local.get $i)) (i32.const 0)))
  (func $put-response (param $response i32) (local $stream i32)
    (call $put-number (i64.extend_i32_u (call $status (local.get $response)))) (call $put @" ")
    (call $consume (local.get $response) (i32.const 64))
    (call $open-input (i32.load offset=4 (i32.const 64)) (i32.const 64))
    (local.set $stream (i32.load offset=4 (i32.const 64)))
    (block $ended (loop $more
      (call $read (local.get $stream) (i64.const 65536) (i32.const 64))
      (br_if $ended (i32.load8_u (i32.const 64)))
      (call $put (i32.load offset=4 (i32.const 64)) (i32.load offset=8 (i32.const 64)))
      (br $more))))
"""

ASK = actor(imports=[*IO_IMPORTS, _CLOCK_IMPORT, FIELDS, *WRITE, *READ, *_ASKING, _HANDLE], handle=_ASK, more=_MORE)

_SERVING = (
    _method("incoming-request", "path-with-query", "(result (option string))", "(param i32 i32)", "path"),
    _method(
        "incoming-request", "consume", "(result (result (own $incoming-body)))", "(param i32 i32)", "consume-request"
    ),
    Import(
        HTTP,
        "[constructor]outgoing-response",
        '(param "headers" (own $fields)) (result (own $outgoing-response))',
        "(param i32) (result i32)",
        called="new-response",
    ),
    _method(
        "outgoing-response",
        "set-status-code",
        '(param "status-code" u16) (result (result))',
        "(param i32 i32) (result i32)",
        "set-status",
    ),
    _method("outgoing-response", "body", "(result (result (own $outgoing-body)))", "(param i32 i32)", "response-body"),
    _method(
        "fields",
        "append",
        '(param "name" string) (param "value" (list u8)) (result (result (error $header-error)))',
        "(param i32 i32 i32 i32 i32 i32)",
        "append",
    ),
    Import(_STREAMS, "input-stream", "", "(param i32)", called="drop-input", drops=True),
    Import(HTTP, "incoming-body", "", "(param i32)", called="drop-body", drops=True),
    Import(HTTP, "incoming-request", "", "(param i32)", called="drop-request", drops=True),
    Import(
        HTTP,
        "[static]response-outparam.set",
        '(param "param" (own $outparam)) (param "response" (result (own $outgoing-response) (error $code)))',
        "(param i32 i32 i32 i32 i64 i32 i32 i32 i32)",
        called="set-answer",
    ),
)
_ANSWER = """(local $fields i32) (local $made i32) (local $body i32) (local $stream i32) (local $in i32)
    (local $consumed i32)
    (call $path (local.get $request) (i32.const 96))
    (if (call $is (i32.load offset=4 (i32.const 96)) (i32.load offset=8 (i32.const 96)) @"/none") (then (return)))
    (if (call $is (i32.load offset=4 (i32.const 96)) (i32.load offset=8 (i32.const 96)) @"/trap") (then (unreachable)))
    (if (call $is (i32.load offset=4 (i32.const 96)) (i32.load offset=8 (i32.const 96)) @"/error")
      (then
        (call $set-answer (local.get $response) (i32.const 1) (i32.const 36) (i32.const 0) (i64.const 0) (i32.const 0)
          (i32.const 0) (i32.const 0) (i32.const 0))
        (return)))
    (local.set $fields (call $new-fields))
    (call $append (local.get $fields) @"x-by" @"service" (i32.const 64))
    (local.set $made (call $new-response (local.get $fields)))
    (if (call $is (i32.load offset=4 (i32.const 96)) (i32.load offset=8 (i32.const 96)) @"/early")
      (then (drop (call $set-status (local.get $made) (i32.const 103)))))
    (if (i32.eqz (call $is (i32.load offset=4 (i32.const 96)) (i32.load offset=8 (i32.const 96)) @"/empty"))
      (then
        (call $response-body (local.get $made) (i32.const 64))
        (local.set $body (i32.load offset=4 (i32.const 64)))))
    (call $set-answer (local.get $response) (i32.const 0) (local.get $made) (i32.const 0) (i64.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0))
    (if (i32.eqz (local.get $body)) (then (return)))
    (call $open-body (local.get $body) (i32.const 64))
    (local.set $stream (i32.load offset=4 (i32.const 64)))
    (call $write-body (local.get $stream) (i32.load offset=4 (i32.const 96)) (i32.load offset=8 (i32.const 96))
      (i32.const 64))
    (if (call $is (i32.load offset=4 (i32.const 96)) (i32.load offset=8 (i32.const 96)) @"/open") (then (return)))
    (call $consume-request (local.get $request) (i32.const 64))
    (local.set $consumed (i32.load offset=4 (i32.const 64)))
    (call $open-input (local.get $consumed) (i32.const 64))
    (local.set $in (i32.load offset=4 (i32.const 64)))
    (block $ended (loop $more
      (call $read (local.get $in) (i64.const 4096) (i32.const 64))
      (br_if $ended (i32.load8_u (i32.const 64)))
      (call $write-body (local.get $stream) (i32.load offset=4 (i32.const 64)) (i32.load offset=8 (i32.const 64))
        (i32.const 64))
      (br $more)))
    (call $drop-input (local.get $in)) (call $drop-body (local.get $consumed)) (call $drop-request (local.get $request))
    (call $drop-output (local.get $stream))
    (call $finish-body (local.get $body) (i32.const 0) (i32.const 0) (i32.const 64))"""


def answering(version: str = "0.2.0", *, more: str = "") -> str:
    """``SERVICE``, for that version of ``wasi:http/incoming-handler``."""
    return service(
        _ANSWER, imports=[*IO_IMPORTS, FIELDS, *WRITE, *READ, *_SERVING], types=HTTP, version=version, more=more
    )


SERVICE = answering()
