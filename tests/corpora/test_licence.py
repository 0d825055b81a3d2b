from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from mediswift_cs.corpora.licence import Licence, article_licence
from mediswift_cs.corpora.pmc import read_pmc

XLINK = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
ALI = 'xmlns:ali="http://www.niso.org/schemas/ali/1.0/"'
BY = "http://creativecommons.org/licenses/by/4.0/"
DATA_WAIVER = (
    "The Creative Commons Public Domain Dedication waiver (<ext-link "
    'xlink:href="http://creativecommons.org/publicdomain/zero/1.0/">zero</ext-link>) applies to '
    "the data made available in this article, unless otherwise stated."
)


def licence(inner: Any) -> Any:
    meta = etree.fromstring(f"<article-meta {XLINK} {ALI}>{inner}</article-meta>")
    return article_licence(meta)


def prose(text: str, attributes: Any = "") -> Any:
    return licence(f"<permissions><license {attributes}><p>{text}</p></license></permissions>")


COMMERCIAL = {
    "address": (f'<permissions><license xlink:href="{BY}"/></permissions>', "CC BY 4.0"),
    "license_ref": (
        f"<permissions><license><ali:license_ref>{BY}</ali:license_ref></license></permissions>",
        "CC BY 4.0",
    ),
    "license_ref outside": (
        f"<permissions><ali:license_ref>{BY}</ali:license_ref></permissions>",
        "CC BY 4.0",
    ),
    "license-type": ('<permissions><license license-type="cc-by"/></permissions>', "CC BY"),
    "link": (
        f'<permissions><license><p>See <ext-link xlink:href="{BY}">here</ext-link>.</p></license>'
        "</permissions>",
        "CC BY 4.0",
    ),
    "NLM 2.0": (
        "<copyright-statement>This is an open-access article distributed under the terms of the "
        "Creative Commons Attribution License, which permits unrestricted use."
        "</copyright-statement>",
        "CC BY",
    ),
    "share alike": (
        '<permissions><license xlink:href="https://creativecommons.org/licenses/by-sa/3.0/"/>'
        "</permissions>",
        "CC BY-SA 3.0",
    ),
    "address of the public domain": (
        '<permissions><license xlink:href="https://creativecommons.org/publicdomain/zero/1.0/"/>'
        "</permissions>",
        "CC0",
    ),
    "data waiver beside a licence": (
        f'<permissions><license xlink:href="{BY}"><p>{DATA_WAIVER}</p></license></permissions>',
        "CC BY 4.0",
    ),
}


def test_a_licence_beside_a_waiver_keeps_its_version() -> None:
    # The waiver's sentence begins within the address, if both are taken for one text.
    inner = f"<ali:license_ref>{BY}</ali:license_ref><license><p>{DATA_WAIVER}</p></license>"
    assert licence(f"<permissions>{inner}</permissions>") == Licence("commercial", "CC BY 4.0")


def test_of_one_class_the_longer_kind_counts() -> None:
    text = "Creative Commons Attribution-ShareAlike License"
    assert prose(text, f'xlink:href="{BY}"') == Licence("commercial", "CC BY-SA")


@pytest.mark.parametrize("name", COMMERCIAL)
def test_commercial(name: str) -> None:
    inner, expected = COMMERCIAL[name]
    assert licence(inner) == Licence("commercial", expected)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "distributed under the Creative Commons Attribution 4.0 International License",
            "CC BY 4.0",
        ),
        ("under the Creative Commons Attribution (CC BY) licence", "CC BY"),
        ("for any purpose, even commercially, under CC-BY 4.0", "CC BY 4.0"),
        ("Creative Commons Attribution-ShareAlike 4.0 License", "CC BY-SA 4.0"),
        ("made available under the Creative Commons CC0 public domain dedication.", "CC0"),
        ("terms of the Creative Commons Public Domain declaration which stipulates", "CC0"),
    ],
)
def test_commercial_in_prose_only(text: str, name: str) -> None:
    assert prose(text) == Licence("commercial", name)


@pytest.mark.parametrize(
    "text",
    [
        "Creative Commons Attribution Non-Commercial License",
        "Creative Commons Attribution-NonCommercial-NoDerivs 3.0 Unported Licence",
        "Creative Commons Attribution License (CC BY-NC 4.0)",
        "Creative Commons Attribution License, provided that the use is noncommercial",
        "under CC BY 4.0 for non-commercial purposes",
        "Creative Commons Attribution License. Commercial re-use requires permission.",
        "https://creativecommons.org/licenses/by-nc-sa/4.0/",
        "does not permit commercial exploitation or the creation of derivative works",
    ],
)
def test_non_commercial(text: str) -> None:
    assert prose(text).licence_class == "non-commercial"
    # The most restrictive counts: an address that says more does not help.
    assert prose(text, f'xlink:href="{BY}"').licence_class == "non-commercial"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Copyright 2019 Elsevier. All rights reserved.",
        "This is an open access article.",
        "distributed under a Creative Commons license",
        "This article is made available via the PMC Open Access Subset for unrestricted re-use.",
        "This work is in the public domain in the United States.",
        "https://creativecommons.org/licenses/sampling/1.0/",
        "https://creativecommons.org/publicdomain/mark/1.0/",
        "This article is not licensed under the Creative Commons Attribution License",
        DATA_WAIVER,
    ],
)
def test_what_is_not_understood_is_other(text: str) -> None:
    assert prose(text).licence_class == "other"


def test_no_statement_is_other() -> None:
    assert licence("") == Licence("other")
    # The licence of a figure is not the article's.
    assert licence(
        f'<fig><permissions><license xlink:href="{BY}"/></permissions></fig>'
    ) == Licence("other")


def test_every_real_plos_file_is_commercial(shared_data: Path) -> None:
    """Most of them state it in prose only; one is WHO's, under PLOS's own principles."""
    names = {}
    for path in sorted((shared_data / "pmc_nxml" / "plos").glob("*.xml")):
        (article,) = read_pmc(path, text_options=None)
        assert article.licence.licence_class == "commercial", path.name
        names[path.name] = article.licence.name
    assert len(names) == 40
    assert names["journal.pmed.1001080.xml"] == "PLOS open access"
    assert names["journal.pone.0055490.xml"] == "CC0"
    assert set(names.values()) == {"CC BY", "CC BY 4.0", "CC0", "PLOS open access"}


def test_the_real_non_commercial_articles_are_not(shared_data: Path) -> None:
    articles = list(
        read_pmc(shared_data / "pmc_nxml" / "pubget" / "articleset.xml", text_options=None)
    )
    classes = [(a.licence.licence_class, a.licence.name) for a in articles]
    assert (
        classes == [("commercial", "CC BY 4.0")] * 4 + [("non-commercial", "CC BY-NC-ND 4.0")] * 3
    )
    for path in (shared_data / "pmc_nxml" / "s2orc_doc2json").glob("*.nxml"):
        (article,) = read_pmc(path, text_options=None)
        assert article.licence.licence_class == "commercial"
