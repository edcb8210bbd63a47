"""Renders the templates, in an environment that the application's own filters and settings do not reach."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import escape
from quart import current_app, has_app_context, url_for

from lagoqueue.monitor import COUNT_CAP
from lagoqueue_dashboard.look import charts, format
from lagoqueue_dashboard.look.visible import HIDDEN, visible

FOLDER = "lagoqueue_dashboard"
"""The package, and the folder of the templates, here and in the template folder of an application that has its own."""

PART = "part_"
"""How the name of a block begins that a page refreshes."""


_CHANGED = re.compile(rf"[%\n]|{HIDDEN.pattern}")


class _AppFirst(jinja2.BaseLoader):
    """Takes a template from the application's own folder, and else from this package."""

    def __init__(self) -> None:
        self._package = jinja2.PackageLoader(FOLDER)

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        own = current_app.jinja_loader if has_app_context() else None
        if own is not None:
            try:
                return own.get_source(environment, template)
            except jinja2.TemplateNotFound:
                pass
        return self._package.get_source(environment, template)


def make_environment(asset: Callable[[str], str]) -> jinja2.Environment:
    """Return the environment that renders all pages of one dashboard.

    Args:
        asset: Returns the URL of a file of `static`.
    """
    environment = jinja2.Environment(  # autoescape is for every file, whatever its name
        loader=_AppFirst(),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(format.FILTERS, verbatim=escape, quoted=_quoted)
    environment.globals.update(
        url=url,
        asset=asset,
        now=lambda: datetime.now(UTC),
        COUNT_CAP=COUNT_CAP,
        chart=charts.chart,
        spark=charts.spark,
    )
    environment.globals["ui"] = environment.get_template(f"{FOLDER}/ui.html").module
    return environment


def render(environment: jinja2.Environment, name: str, context: Mapping[str, Any]) -> str:
    """Return a whole page."""
    return environment.get_template(f"{FOLDER}/{name}.html").render(context)


def render_parts(environment: jinja2.Environment, name: str, context: Mapping[str, Any]) -> dict[str, str]:
    """Return the parts of a page that it refreshes, by name: those of its own and of what surrounds all pages."""
    parts: dict[str, str] = {}
    for file in ("base", name):
        template = environment.get_template(f"{FOLDER}/{file}.html")
        for block, function in template.blocks.items():
            if block.startswith(PART):
                parts[block.removeprefix(PART)] = "".join(function(template.new_context(dict(context))))
    return parts


def url(endpoint: str, /, **values: Any) -> str:
    """Return the path of one of this dashboard's pages, without the parameters that are None or ""."""
    return url_for(f".{endpoint}", **{name: value for name, value in values.items() if value not in (None, "")})


def _finalize(value: Any) -> Any:
    # What is escaped already is of our own making, and so is not text from outside.
    return visible(value) if type(value) is str else value


def _quoted(value: str) -> str:
    """Return the text with what a form or `visible` would change as it stands in a URL; `unquote` gives it back."""
    return _CHANGED.sub(lambda found: quote(found[0]), value)
