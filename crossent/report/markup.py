"""HTML as values: what is not markup yet is escaped, so that no file name can become a tag."""

from collections.abc import Iterable
from html import escape

VOID = ("img", "meta", "br")  # what HTML never closes

Attribute = str | int | float | bool | None


class Markup(str):
    """Text that is markup already. Only this module, and constants in the source, make one."""


def element(tag: str, *children: object, **attributes: Attribute) -> Markup:
    """An element with its children; strings among them are escaped.

    Args:
        tag: of HTML or SVG.
        children: markup, text, or numbers; None is nothing.
        attributes: `class_` is class, `data_x` is data-x; None and False leave one out.

    Example:
        >>> element("p", "a < b", class_="note")
        '<p class="note">a &lt; b</p>'
    """
    words = [tag, *(attribute(name, value) for name, value in attributes.items() if is_set(value))]
    start = f"<{' '.join(words)}>"
    if tag in VOID:
        return Markup(start)
    return Markup(f"{start}{join(children)}</{tag}>")


def join(children: Iterable[object]) -> Markup:
    """Several one after the other; strings among them are escaped."""
    return Markup("".join(as_markup(child) for child in children if child is not None))


def as_markup(child: object) -> str:
    return child if isinstance(child, Markup) else escape(readable(str(child)))


def is_set(value: Attribute) -> bool:
    return value is not None and value is not False


def attribute(name: str, value: Attribute) -> str:
    name = name.rstrip("_").replace("_", "-")
    return name if value is True else f'{name}="{escape(readable(str(value)))}"'


def readable(text: str) -> str:
    """The text with a mark for what no HTML file may hold: control characters, halves of pairs."""
    return "".join(c if is_readable(c) else "\N{REPLACEMENT CHARACTER}" for c in text)


def is_readable(character: str) -> bool:
    code = ord(character)
    return character in "\t\n" or (code >= 0x20 and not 0x7F <= code < 0xA0 and code >> 11 != 0x1B)


def shorten(text: str, most: int = 60) -> str:
    """The text with its middle left out if it is long."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def table(head: Iterable[object], rows: Iterable[Iterable[object]], class_: str = "") -> Markup:
    """A table whose first column names the rows. It scrolls by itself where the page is narrow."""
    titles = [element("th", title, scope="col") for title in head]
    body = [table_row(*row) for row in rows]
    found = element(
        "table", element("thead", element("tr", *titles)), element("tbody", *body), class_=class_
    )
    return element("div", found, class_="scroll", tabindex=0, role="group", aria_label="table")


def table_row(name: object, *cells: object) -> Markup:
    return element("tr", element("th", name, scope="row"), *(element("td", c) for c in cells))


def details(summary: str, *children: object, open_: bool = False) -> Markup:
    """What most readers need not see at once."""
    return element("details", element("summary", summary), *children, open=open_)


def note(text: object, class_: str = "note") -> Markup:
    return element("p", text, class_=class_)


def warn(text: object) -> Markup:
    """A warning that does not depend on its colour."""
    return element("p", element("strong", "Warning: "), text, class_="warning", role="note")
