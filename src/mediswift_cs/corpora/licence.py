"""Which use an article's licence allows, from all that the article says about it.

An article may state its licence in an address, an attribute, ``ali:license_ref``, a link in the
text, or in prose only. All of them are read, and of several the most restrictive counts; what is
not understood is "other". So a wrong answer leaves an article out rather than letting one in.
"""

import re
from dataclasses import dataclass
from functools import partial

from lxml import etree

from mediswift_cs.corpora.cleaning import clean_line

COMMERCIAL, NON_COMMERCIAL, OTHER = "commercial", "non-commercial", "other"
# As PMC groups its open-access subset: commercial is CC0, CC BY, CC BY-SA and CC BY-ND.
LICENCE_CLASSES = (COMMERCIAL, NON_COMMERCIAL, OTHER)

_HREF = "{http://www.w3.org/1999/xlink}href"
_ALI = "{http://www.niso.org/schemas/ali/1.0/}license_ref"

_pattern = partial(re.compile, flags=re.IGNORECASE)

_CC_ADDRESS = _pattern(
    r"creativecommons\.org/(?:licen[sc]es/(?P<kind>[a-z-]+)(?:/(?P<version>\d\.\d))?"
    r"|publicdomain/(?P<domain>zero|mark))"
)
# "CC BY-NC 4.0", "CC-BY", "cc_by_nc", also as the value of license-type.
_CC_CODE = _pattern(
    r"\bcc[\s_-]{0,2}(?:(?P<kind>by(?:[\s_-]{1,2}(?:nc|nd|sa)){0,2})\b"
    r"(?:[\s_-]{0,2}(?P<version>\d\.\d))?|(?P<zero>0|zero)\b)"
)
_ATTRIBUTION = _pattern(r"creative commons\W{1,3}attribution\b(?P<rest>.{0,80}?)\blicen[sc]e")
_VERSION = re.compile(r"\b[1-4]\.\d\b")
_PUBLIC_DOMAIN = _pattern(r"creative commons (?:cc0 )?public domain (?:declaration|dedication)")
# Some publishers put the data of an article in the public domain, and not its text.
_DATA_WAIVER = _pattern(
    r"[^.]{0,200}public domain dedication(?: waiver)?\s*(?:\([^)]{0,120}\))?\s*(?:waiver )?"
    r"applies to the data[^.]*"
)
# What PLOS took over from WHO: PLOS's own terms, which are those of CC BY, and no endorsement.
_PLOS_PRINCIPLES = _pattern(
    r"in the spirit of the public library of science \(plos\) principles for open access"
)
_NO_ENDORSEMENT = _pattern(
    r"should not be reproduced for use in association with the promotion of commercial products"
)
_ALLOWED_COMMERCIAL = _pattern(
    r"(?:even|including|also) (?:for )?commercial(?:ly)?(?: (?:purposes?|use|re-?use))?"
    r"|commercial and non-?\s?commercial"
)
_NEGATED = _pattern(
    r"\bnot (?:\w+ )?(?:licen[sc]ed|distributed|available|published|covered) (?:under|by)\b"
)
_COMMERCIAL_WORD = _pattern(r"commercial")
_NO_DERIVATIVES = _pattern(r"no[\s-]?deriv")
_SHARE_ALIKE = _pattern(r"share[\s-]?alike")

_KINDS = frozenset(("by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd"))


@dataclass(frozen=True, slots=True)
class Licence:
    """What an article allows; ``name`` is as "CC BY 4.0", None where it is not understood."""

    licence_class: str
    name: str | None = None


def article_licence(*metas: etree._Element) -> Licence:
    """The licence of a JATS or NLM ``article-meta`` (that of a single figure does not count).

    Of an article and its translation both are given: what either forbids is forbidden.
    """
    statements: list[etree._Element] = []
    for meta in metas:
        for name in ("permissions", "license", "copyright-statement"):
            statements += meta.iterfind(name)
    addresses: list[str] = []
    prose: list[str] = []
    for statement in statements:
        for element in statement.iter():
            if isinstance(element.tag, str):
                addresses += [element.get(_HREF, ""), element.get("license-type", "")]
                if element.tag == _ALI:
                    addresses.append(element.text or "")
        prose.append(" ".join(statement.itertext()))
    return licence_of(addresses, clean_line(" ".join(prose)))


def licence_of(addresses: list[str], prose: str) -> Licence:
    """The most restrictive of the licences that addresses and prose name."""
    without_waiver = _DATA_WAIVER.sub(" ", prose)
    if without_waiver != prose:
        # The waiver is a link too.
        addresses = [text for text in addresses if "publicdomain" not in text]
        prose = without_waiver
    found = [licence for text in [*addresses, prose] for licence in _named(text)]
    found += _in_prose(prose)
    if _denies_commercial(prose):
        found.append(Licence(NON_COMMERCIAL))
    if _NEGATED.search(prose):
        found.append(Licence(OTHER))
    return max(found, key=_restriction) if found else Licence(OTHER)


def _restriction(licence: Licence) -> tuple[int, int, int]:
    name = licence.name or ""
    kind = name.split(" ")[1] if " " in name else ""
    return LICENCE_CLASSES.index(licence.licence_class), len(kind), len(name)


def _named(text: str) -> list[Licence]:
    found = []
    for match in _CC_ADDRESS.finditer(text):
        if match["domain"]:
            is_zero = match["domain"].lower() == "zero"
            found.append(Licence(COMMERCIAL, "CC0") if is_zero else Licence(OTHER))
        else:
            found.append(_creative_commons(match["kind"], match["version"]))
    for match in _CC_CODE.finditer(text):
        kind = match["kind"]
        found.append(
            _creative_commons(re.sub(r"[\s_-]+", "-", kind), match["version"])
            if kind
            else Licence(COMMERCIAL, "CC0")
        )
    return found


def _creative_commons(kind: str, version: str | None) -> Licence:
    kind = kind.lower()
    is_known, is_limited = kind in _KINDS, "nc" in kind.split("-")
    licence_class = NON_COMMERCIAL if is_limited else COMMERCIAL if is_known else OTHER
    if not is_known:
        # Retired licences, such as "devnations", and misspelt ones.
        return Licence(licence_class)
    return Licence(licence_class, f"CC {kind.upper()}" + (f" {version}" if version else ""))


def _in_prose(prose: str) -> list[Licence]:
    found = []
    for match in _ATTRIBUTION.finditer(prose):
        rest = match["rest"]
        kind = "by"
        if _COMMERCIAL_WORD.search(rest):
            kind += "-nc"
        if _NO_DERIVATIVES.search(rest):
            kind += "-nd"
        elif _SHARE_ALIKE.search(rest):
            kind += "-sa"
        version = _VERSION.search(rest)
        found.append(_creative_commons(kind, version[0] if version else None))
    if _PUBLIC_DOMAIN.search(prose):
        found.append(Licence(COMMERCIAL, "CC0"))
    if _PLOS_PRINCIPLES.search(prose):
        found.append(Licence(COMMERCIAL, "PLOS open access"))
    return found


def _denies_commercial(prose: str) -> bool:
    """Whether "commercial" is said in any other way than to allow it."""
    if _PLOS_PRINCIPLES.search(prose):
        prose = _NO_ENDORSEMENT.sub(" ", prose)
    return _COMMERCIAL_WORD.search(_ALLOWED_COMMERCIAL.sub(" ", prose)) is not None
