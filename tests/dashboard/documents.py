"""Pages as a browser reads them: their elements, attributes and text, without what only looks like it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "img", "hr"}
URLS = {"href", "src", "action", "formaction", "data-live"}


@dataclass
class Document:
    """A page.

    Attributes:
        elements: Each element's name and attributes, in order.
        text: All text, entities resolved.
        comments: What the page hides.
        unclosed: Elements that were opened and not closed, or closed and not opened.
    """

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""
    comments: list[str] = field(default_factory=list)
    unclosed: list[str] = field(default_factory=list)

    @property
    def kinds(self) -> set[tuple[str, str]]:
        """Every element with each of its attributes, without values."""
        return {(tag, name) for tag, attributes in self.elements for name in ["", *attributes]}

    @property
    def urls(self) -> list[str]:
        """Where links, forms and files lead."""
        return [value for _, attributes in self.elements for name, value in attributes.items() if name in URLS]

    @property
    def values(self) -> list[str]:
        """What the attributes say."""
        return [value for _, attributes in self.elements for value in attributes.values()]

    def inputs(self, name: str) -> list[str]:
        """Return the values of the fields of this name."""
        return [
            attributes.get("value", "")
            for tag, attributes in self.elements
            if tag in ("input", "button") and attributes.get("name") == name
        ]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.document = Document()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.document.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.document.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            self.document.unclosed.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.document.text += data

    def handle_comment(self, data: str) -> None:
        self.document.comments.append(data)

    def end(self) -> Document:
        self.close()
        self.document.unclosed += self._open
        return self.document


def parse(html: str) -> Document:
    """Return the page, or the part of one."""
    parser = _Parser()
    parser.feed(html)
    return parser.end()
