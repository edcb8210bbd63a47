"""How Sphinx builds the documentation: `nox -s docs`."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "lagoqueue"
copyright = "the lagoqueue developers"
release = installed_version("lagoqueue-core")
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

html_theme = "furo"
html_title = "lagoqueue"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_use_type_comments = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
default_role = "code"  # docstrings write `name` for code, as Markdown does

# The build must not need the network, so names of other projects are not looked up but let through
# by their module. A public name of our own that does not resolve fails the build.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(asyncio|collections|concurrent|contextlib|datetime|logging|msgspec|pathlib|quart|sqlalchemy|types|typing|unittest)\..*",
    ),
    ("py:.*", r"(float|int|str|bool|bytes|object|None|dict|list|tuple|type|ABC|Exception|BaseException|\w*Error)"),
    ("py:.*", r"lagoqueue(_\w+)?\.(\w+\.)*(_\w+(\.\w+)?|[A-Z])"),  # private names, and type variables
    ("py:.*", r"lagoqueue\.handlers\.Handler|lagoqueue(_sql)?\.\w+\.Named\w+"),  # returned, never named by users
    ("py:.*", r"lagoqueue_sql\.(within|completing)\.\w+"),  # likewise, or the types of other projects' connections
    ("py:class", r"lagoqueue_dashboard\.standalone\.asgi\.DashboardApp"),  # returned; a Quart application to its users
    ("py:class", r"[a-z_][a-z_0-9]*|dict\[str"),  # attributes that a docstring lists together
]
