"""The frame of every page: one file with its style and script, which asks for nothing else."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from crossent.report.markup import Markup, element

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """A part of a page with a title to jump to."""

    name: str  # in the address: page.html#name
    title: str
    content: Iterable[object]

    def markup(self) -> Markup:
        title = element("h2", self.title, id=f"{self.name}-title")
        labelled = f"{self.name}-title"
        return element("section", title, *self.content, id=self.name, aria_labelledby=labelled)


def whole_page(title: str, head: Iterable[object], sections: Iterable[Section]) -> str:
    """A file of HTML that needs no other, no server and no network.

    Its policy forbids every request, and every script but its own by the hash: should something
    hostile slip into the page, the browser would not run it.
    """
    style, script = (
        FOLDER.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    sections = list(sections)
    links = [
        element("a", section.name.replace("-", " ").capitalize(), href=f"#{section.name}")
        for section in sections
    ]
    body = element(
        "body",
        element("a", "to the content", href="#content", class_="skip"),
        element("header", *head),
        element("nav", *links, aria_label="Sections"),
        element("main", *(section.markup() for section in sections), id="content"),
        element("script", Markup(script)),
    )
    return "<!doctype html>\n" + element(
        "html",
        element(
            "head",
            Markup('<meta charset="utf-8">'),
            element("meta", http_equiv="Content-Security-Policy", content=policy(script)),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", title),
            element("style", Markup(style)),
        ),
        body,
        lang="en",
    )


def policy(script: str) -> str:
    """Content-Security-Policy: pictures from within, this very script, no request at all."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def facts(rows: Iterable[tuple[str, str, str]]) -> Markup:
    """Numbers to be seen first: (name, number, interval or nothing)."""
    boxes = [
        element("div", element("dt", name), element("dd", number, element("small", interval)))
        for name, number, interval in rows
    ]
    return element("dl", *boxes, class_="facts")
