"""``theater server``: serve a data directory over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from theater.cli.session import session_of
from theater.model.ports import Durability
from theater.server.log import LogFormat
from theater.server.serving import CONNECTIONS_MAX, ServerOptions, run_server

_Host = Annotated[
    str | None, typer.Option("--host", metavar="HOST", help="Where to listen; else the config file, or 127.0.0.1.")
]
_Port = Annotated[
    int | None,
    typer.Option(
        "--port", metavar="N", min=0, max=65_535, help="The same; else the config file, or 2823. 0: any free one."
    ),
]
_Durability = Annotated[
    str | None,
    typer.Option(
        "--durability", metavar="process|power", help="What an acknowledged write survives; else the config file."
    ),
]
_Workers = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", min=1, max=1024, help="Threads that run guests; one a core by default."),
]
_Cert = Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="A certificate, PEM: speak TLS.")]
_Key = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its private key, PEM.")]
_BehindProxy = Annotated[
    bool,
    typer.Option(
        "--insecure-behind-proxy", help="Listen where others can reach it, without TLS: a proxy in front does that."
    ),
]
_AllowHost = Annotated[
    list[str] | None,
    typer.Option("--allow-host", metavar="NAME", help="Answer requests for this host too. May be repeated."),
]
_LogFormat = Annotated[
    str | None,
    typer.Option("--log-format", metavar="human|json", help="How to log on stderr; else the config file."),
]
_Connections = Annotated[
    int, typer.Option("--max-connections", metavar="N", min=1, max=100_000, help="How many there may be at once.")
]


def server(  # noqa: PLR0913, PLR0917 - one for each option
    context: typer.Context,
    host: _Host = None,
    port: _Port = None,
    durability: _Durability = None,
    workers: _Workers = None,
    tls_cert: _Cert = None,
    tls_key: _Key = None,
    insecure_behind_proxy: _BehindProxy = False,  # noqa: FBT002 - an option
    allow_host: _AllowHost = None,
    log_format: _LogFormat = None,
    max_connections: _Connections = CONNECTIONS_MAX,
) -> None:
    """Serve the data directory over HTTP, until SIGTERM or SIGINT.

    Every actor that ran goes on from its last committed state. Exits 0 when everything is committed and closed.
    """
    session = session_of(context)
    config = session.config(
        {
            "host": host,
            "port": str(port) if port is not None else None,
            "durability": durability,
            "log-format": log_format,
        }
    )
    options = ServerOptions(
        data_dir=Path(config.data_dir.value),
        host=config.host.value,
        port=int(config.port.value),
        durability=cast("Durability", config.durability.value),  # read_config lets nothing else through
        workers=workers,
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure_behind_proxy=insecure_behind_proxy,
        allowed_hosts=tuple(allow_host or ()),
        log_format=cast("LogFormat", config.log_format.value),
        connections_max=max_connections,
    )
    run_server(options, session.environ)
