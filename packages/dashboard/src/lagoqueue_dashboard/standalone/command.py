"""`lagoqueue dashboard`: a dashboard in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import AbstractAsyncContextManager

import click
from click.core import ParameterSource
from quart import Request

from lagoqueue.errors import InvalidValue, LagoqueueError
from lagoqueue.monitor import Inspector
from lagoqueue_dashboard import blueprint
from lagoqueue_dashboard.guarding.access import Access, Authorize, Viewer
from lagoqueue_dashboard.guarding.loopback import is_loopback_name, refuse_others
from lagoqueue_dashboard.guarding.password import Password
from lagoqueue_dashboard.standalone.asgi import stand_alone
from lagoqueue_dashboard.standalone.opening import open_target, open_url
from lagoqueue_dashboard.standalone.proxy import ASGIApp, Prefixed
from lagoqueue_dashboard.standalone.serving import listen, serve_until_signal

PASSWORD = "LAGOQUEUE_DASHBOARD_PASSWORD"  # noqa: S105 - the name of the variable

_FIRST_LOOK = 15.0
"""Seconds that the store may take to answer for the first time."""


@click.command(short_help="Serve a web page that shows queues and failed jobs.")
@click.argument("target", metavar="[MODULE:ATTRIBUTE]", required=False)
@click.option(
    "--url",
    envvar="LAGOQUEUE_URL",
    show_envvar=True,
    help="The database of the queue, such as sqlite:///jobs.db. A password in it is better off in the variable.",
)
@click.option(
    "--table",
    envvar="LAGOQUEUE_TABLE",
    show_envvar=True,
    default="jobs",
    show_default=True,
    help="With --url: table of the jobs.",
)
@click.option(
    "--host",
    envvar="LAGOQUEUE_DASHBOARD_HOST",
    show_envvar=True,
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on.",
)
@click.option(
    "--port",
    envvar="LAGOQUEUE_DASHBOARD_PORT",
    show_envvar=True,
    default=8787,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes one that is free.",
)
@click.option(
    "--prefix",
    envvar="LAGOQUEUE_DASHBOARD_PREFIX",
    show_envvar=True,
    help="What a reverse proxy takes off the path, such as /jobs.",
)
@click.option(
    "--read-only",
    envvar="LAGOQUEUE_DASHBOARD_READ_ONLY",
    show_envvar=True,
    is_flag=True,
    help="Nobody can retry or forget.",
)
@click.option(
    "--title",
    envvar="LAGOQUEUE_DASHBOARD_TITLE",
    show_envvar=True,
    default="lagoqueue",
    show_default=True,
    help="Stands at the top of every page.",
)
@click.option(
    "--environment",
    envvar="LAGOQUEUE_DASHBOARD_ENVIRONMENT",
    show_envvar=True,
    default="",
    help="Stands beside it, such as production.",
)
@click.option("--app-dir", default=".", show_default=True, help="Folder from which MODULE is imported.")
def dashboard(
    target: str | None,
    url: str | None,
    table: str,
    host: str,
    port: int,
    prefix: str | None,
    read_only: bool,
    title: str,
    environment: str,
    app_dir: str,
) -> None:
    """Serve a web page that shows queues, workers and failed jobs, until SIGINT or SIGTERM.

    Give a database, or MODULE:ATTRIBUTE: an Inspector of your own, or a function without arguments
    that returns or opens one.

    \b
      lagoqueue dashboard --url sqlite:///jobs.db
      LAGOQUEUE_URL=postgresql://user:password@host/database lagoqueue dashboard
      lagoqueue dashboard shop.jobs:inspector

    It answers browsers on this computer only, unless LAGOQUEUE_DASHBOARD_PASSWORD is set: then it asks
    everybody for that password, and may listen on another address and behind a reverse proxy, which
    should speak TLS.

    Exit codes: 0 when it was asked to end, 1 when the store or the port cannot be used, 2 when the
    command is wrong.
    """  # noqa: D301 - click knows the paragraph by this character
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    context = click.get_current_context()
    if target is not None and context.get_parameter_source("url") is ParameterSource.ENVIRONMENT:
        url = None  # the variable is for commands that are told nothing else
    if (target is None) == (url is None):
        raise click.UsageError("give either --url (or the variable LAGOQUEUE_URL) or MODULE:ATTRIBUTE")
    sys.path.insert(0, app_dir)
    access = Access.READ if read_only else Access.FULL
    try:
        authorize = _door(host, access)
        opened = open_url(url, table) if url is not None else open_target(target or "")
        asyncio.run(_serve(opened, authorize, host, port, prefix, title, environment))
    except InvalidValue as error:
        raise click.UsageError(str(error)) from error
    except LagoqueueError as error:
        raise click.ClickException(str(error)) from error


async def _serve(
    opened: AbstractAsyncContextManager[Inspector],
    authorize: Authorize,
    host: str,
    port: int,
    prefix: str | None,
    title: str,
    environment: str,
) -> None:
    async with opened as inspector:
        try:
            async with asyncio.timeout(_FIRST_LOOK):
                await inspector.stats()
        except TimeoutError:
            raise click.ClickException(f"the store did not answer within {_FIRST_LOOK:g} s") from None
        made = blueprint.dashboard(inspector, authorize=authorize, title=title, environment=environment)
        app: ASGIApp = stand_alone(made)
        if prefix is not None:
            app = Prefixed(app, prefix)
        try:
            listener = listen(host, port)
        except OSError as error:
            raise click.ClickException(
                f"cannot listen on {host}, port {port}: {error.strerror or error}; choose others with --host and --port"
            ) from None
        address, port, *_ = listener.getsockname()
        shown = f"[{address}]" if ":" in address else address
        await serve_until_signal(
            app, listener, lambda: click.echo(f"lagoqueue dashboard: http://{shown}:{port}/queues/ (Ctrl+C ends it)")
        )


def _door(host: str, access: Access) -> Authorize:
    """Return who is let in.

    Raises:
        click.UsageError: Others could come, and there is no password.
        InvalidValue: The password is too short.
    """
    password = os.environ.get(PASSWORD)
    if password is not None:
        return Password(password, access)
    if not is_loopback_name(f"[{host}]" if ":" in host else host):
        raise click.UsageError(
            f"on {host} others than you could open the dashboard: set the environment variable {PASSWORD} to a password "
            "that they must give, or leave --host out"
        )

    async def local(request: Request) -> Viewer:
        refuse_others(request, f"To let others in, set the environment variable {PASSWORD} and start it anew.")
        return Viewer(access)

    return local
