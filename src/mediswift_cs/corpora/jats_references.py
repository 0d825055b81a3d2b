"""References whose parts are elements alone, written as readers know them.

``Smith J, Doe K. On mice. J Own. 2001;12:3``
"""

from collections.abc import Callable

from lxml import etree

from mediswift_cs.corpora.mathml import local_name

TextOf = Callable[[etree._Element], str]

_PEOPLE = frozenset(
    [
        "name",
        "string-name",
        "collab",
        "etal",
        "anonymous",
        "name-alternatives",
        "collab-alternatives",
    ]
)
_DATE = ("year", "season", "month", "day")
_PAGES = ("page-range", "elocation-id", "fpage")
# In the order of the printed form; what is not named here comes where it stands.
_PLACED = frozenset((*_DATE, *_PAGES, "lpage", "volume", "issue", "date", "publisher-loc"))
# Numbers of catalogues, and what only says when a page was looked at.
LEFT_OUT = frozenset(
    ["pub-id", "object-id", "issn", "issn-l", "isbn", "date-in-citation", "access-date", "size"]
)


def is_of_elements_alone(citation: etree._Element) -> bool:
    """Whether a citation or group has no text, such as a full stop, between its parts."""
    texts = [citation.text, *(child.tail for child in citation)]
    return len(citation) > 0 and not any(text and text.strip() for text in texts)


def citation_text(citation: etree._Element, text_of: TextOf) -> str:
    """Authors, titles, year, volume and pages of such a citation, on one line.

    Args:
        text_of: gives the text of an element.
    """
    people: list[str] = []
    others: list[str] = []
    fields: dict[str, str] = {}
    for child in citation:
        name = local_name(child.tag)
        if name == "person-group" or name in _PEOPLE:
            people.append(text_of(child))
        elif name in _PLACED:
            fields.setdefault(name, text_of(child))
        elif name not in LEFT_OUT:
            text = text_of(child)
            place = fields.pop("publisher-loc", "") if name == "publisher-name" else ""
            others.append(f"{place}: {text}" if place else text)
    others.append(fields.get("publisher-loc", ""))
    return _sentences([", ".join(filter(None, people)), *others, _location(fields)])


def people_text(group: etree._Element, text_of: TextOf) -> str:
    """The names of a group that has no text, such as a comma, between them."""
    return ", ".join(filter(None, map(text_of, group)))


def _location(fields: dict[str, str]) -> str:
    date = " ".join(filter(None, (fields.get(name) for name in _DATE))) or fields.get("date", "")
    issue = f"({fields['issue']})" if fields.get("issue") else ""
    volume = fields.get("volume", "") + issue
    pages = next((fields[name] for name in _PAGES if fields.get(name)), "")
    if fields.get("lpage") and pages == fields.get("fpage") != fields["lpage"]:
        pages = f"{pages}-{fields['lpage']}"
    text = f"{date};{volume}" if date and volume else date or volume
    return f"{text}:{pages}" if text and pages else text or pages


def _sentences(parts: list[str]) -> str:
    result = ""
    for part in filter(None, (part.strip() for part in parts)):
        if result:
            result += " " if result[-1] in "?!" else ". "
        result += part.rstrip(".") if len(part) > 1 else part
    return result
