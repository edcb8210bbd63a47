"""`Assets`: the stylesheet and the script, under paths that change with their content."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from quart import Response, url_for

from lagoqueue_dashboard.guarding.refused import Refused

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


class Assets:
    """The files of the folder `static`, read once."""

    def __init__(self) -> None:
        folder = files("lagoqueue_dashboard") / "static"
        self._contents = {
            file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in _TYPES
        }
        self._versions = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in self._contents.items()}

    def url(self, name: str) -> str:
        """Return the path of a file."""
        return url_for(".asset", version=self._versions[name], name=name)

    async def serve(self, version: str, name: str) -> Response:
        """Answer with a file.

        Raises:
            Refused: There is no such file, or another version of it: a browser must not keep this one under that path.
        """
        if self._versions.get(name) != version:
            raise Refused(404, "No such file", "It is of another version of this dashboard. Reload the page.")
        return Response(self._contents[name], content_type=_TYPES[name.rpartition(".")[2]])
