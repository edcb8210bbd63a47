"""Every route of a dashboard, with what it needs to be answered."""

from __future__ import annotations

from quart import Quart
from werkzeug.routing import Rule

QUERIES = {
    "queue": {"name": "mail"},
    "job": {"id": "live"},
    "failed_job": {"id": "f1"},
    "confirm": {"action": "retry", "all": "1"},
}
"""What pages cannot do without."""

FORMS: dict[str, dict[str, object]] = {
    "retry": {},
    "forget": {},
    "retry_many": {"ids": ["f1", "f2"]},
    "forget_many": {"all": "1"},
    "flush": {},
    "theme": {"theme": "dark", "page": "failed", "query": "view=jobs"},
}
"""What each route that posts is sent."""


def rules(app: Quart) -> dict[str, Rule]:
    """Return the routes of the dashboard that is named as by default, by the names of their endpoints."""
    found = {rule.endpoint: rule for rule in app.url_map.iter_rules()}
    return {name.partition(".")[2]: rule for name, rule in found.items() if name.startswith("lagoqueue.")}


def posts(app: Quart) -> dict[str, str]:
    """Return the path of every route that takes a POST, by its endpoint."""
    return {name: rule.rule.replace("<path:id>", "f1") for name, rule in rules(app).items() if "POST" in _methods(rule)}


def gets(app: Quart) -> list[tuple[str, dict[str, str]]]:
    """Return the path and the query of every route that takes a GET; of the live ones, all that there are."""
    found = []
    for name, rule in rules(app).items():
        if "GET" not in _methods(rule):
            continue
        if name == "live":
            pages = [each for each in rules(app) if f"api_{each}" in rules(app)]
            found += [(rule.rule.replace("<screen>", page), QUERIES.get(page, {})) for page in pages]
        elif name == "asset":
            found.append((rule.rule.replace("<version>/<name>", "0/dashboard.css"), {}))
        else:
            found.append((rule.rule, QUERIES.get(name.removeprefix("api_"), {})))
    return found


def _methods(rule: Rule) -> set[str]:
    return set(rule.methods or ())
