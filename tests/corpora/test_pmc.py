import gzip
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.corpora.pmc import read_pmc
from mediswift_cs.corpora.text_options import TextOptions
from mediswift_cs.errors import DataError

META = """<article-id pub-id-type="pmid">123</article-id>
<article-id pub-id-type="pmc">PMC77</article-id>
<title-group><article-title>On <italic>mon</italic> mice<xref ref-type="fn" rid="f">*</xref>
</article-title><subtitle>A study</subtitle></title-group>
<pub-date pub-type="ppub"><year>2011</year></pub-date>
<pub-date pub-type="epub"><year>2010</year></pub-date>
<abstract><title>Abstract</title><sec><title>Methods</title><p>We looked.</p></sec></abstract>
<abstract abstract-type="toc"><p>In this issue.</p></abstract>"""
ATTRIBUTES = (
    'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:m="http://www.w3.org/1998/Math/MathML"'
)


def article(
    body: Any = "<p>Text.</p>", *, meta: Any = META, attributes: Any = "", rest: Any = ""
) -> Any:
    journal = "<journal-meta><journal-title>J Mice</journal-title></journal-meta>"
    return (
        f"<article {ATTRIBUTES} {attributes}><front>{journal}<article-meta>{meta}</article-meta>"
        f"</front><body>{body}</body>{rest}</article>"
    )


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def read_text(content: Any, **options: Any) -> Any:
        path = tmp_path / "PMC77.nxml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(read_pmc(path, **{"text_options": None, **options}))

    return read_text


def body_of(read: Any, body: Any, **options: Any) -> Any:
    (found,) = read(article(body), text_options=TextOptions(**options))
    return found.body.split("\n")


def test_the_parts_of_an_article(read: Any) -> None:
    (found,) = read(article(attributes='article-type="research-article" xml:lang="EN"'))
    assert (found.id, found.pmid, found.version) == ("pmc:PMC77", 123, 1)
    assert found.title == "On mon mice: A study"
    assert found.abstract == "Methods\nWe looked."
    assert (found.year, found.journal) == (2010, "J Mice")
    assert (found.article_type, found.language) == ("research-article", "en")
    document = found.to_document("PMC77.nxml")
    assert document.text == "On mon mice: A study\nMethods\nWe looked.\nText."
    assert (document.pmid, document.licence_class) == (123, "other")


# The same article as each version of the DTD writes it; what changed is where the journal's title,
# the licence, the floating figures and the dates are.
OLD_JOURNAL = "<journal-title>J Mice</journal-title>"
NEW_JOURNAL = f"<journal-title-group>{OLD_JOURNAL}</journal-title-group>"
BY = 'xlink:href="http://creativecommons.org/licenses/by/2.0"'
OLD_LICENCE = f"<license {BY}><p>Open access.</p></license>"
NEW_LICENCE = f"<license {BY}><license-p>Open access.</license-p></license>"
REF = '<ali:license_ref xmlns:ali="http://www.niso.org/schemas/ali/1.0/">{}</ali:license_ref>'
CC_BY_2 = REF.format("https://creativecommons.org/licenses/by/2.0/")
OLD_DATE = '<pub-date pub-type="epub"><year>2010</year></pub-date>'
NEW_DATE = '<pub-date date-type="pub" publication-format="electronic"><year>2010</year></pub-date>'
FIGURE = "<fig><label>Figure 1</label><caption><p>A cell.</p></caption></fig>"
VERSIONS = {
    "NLM 2.0": (OLD_JOURNAL, OLD_DATE + OLD_LICENCE, f"<back><sec>{FIGURE}</sec></back>"),
    "NLM 2.3": (
        OLD_JOURNAL,
        f"{OLD_DATE}<permissions>{OLD_LICENCE}</permissions>",
        f"<floats-wrap>{FIGURE}</floats-wrap>",
    ),
    "NLM 3.0": (
        NEW_JOURNAL,
        f"{OLD_DATE}<permissions>{NEW_LICENCE}</permissions>",
        f"<floats-group>{FIGURE}</floats-group>",
    ),
    "JATS 1.0": (
        NEW_JOURNAL,
        f"{NEW_DATE}<permissions>{NEW_LICENCE}</permissions>",
        f"<floats-group>{FIGURE}</floats-group>",
    ),
    "JATS 1.1": (
        NEW_JOURNAL,
        f"{NEW_DATE}<permissions><license>{CC_BY_2}</license></permissions>",
        f"<floats-group>{FIGURE}</floats-group>",
    ),
    "JATS 1.2": (
        NEW_JOURNAL,
        f"{NEW_DATE}<permissions><license>{CC_BY_2}<license-p>Open.</license-p></license>"
        "</permissions><abstract><p/></abstract>",
        f"<floats-group>{FIGURE}</floats-group>",
    ),
    "JATS 1.3": (
        NEW_JOURNAL,
        "<pub-history><event><p>Preprint.</p><date><year>2008</year></date></event></pub-history>"
        f"{NEW_DATE}<permissions><license>{CC_BY_2}</license></permissions>",
        f"<floats-group><fig-group>{FIGURE}</fig-group></floats-group>",
    ),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_of_the_dtd(read: Any, version: Any) -> None:
    journal, meta, floats = VERSIONS[version]
    title = "<title-group><article-title>On mice</article-title></title-group>"
    before = "<processing-meta><p>x</p></processing-meta>" if version == "JATS 1.3" else ""
    (found,) = read(
        f'<article {ATTRIBUTES} dtd-version="{version[-3:]}">{before}<front><journal-meta>{journal}'
        f'</journal-meta><article-meta><article-id pub-id-type="pmc">77</article-id>{title}{meta}'
        f"</article-meta></front><body><p>Text.</p></body>{floats}</article>"
    )
    assert (found.id, found.title, found.abstract) == ("pmc:PMC77", "On mice", "")
    assert found.body.split("\n") == ["Text.", "Figure 1 A cell."]
    assert (found.journal, found.year) == ("J Mice", 2010)
    assert (found.licence.licence_class, found.licence.name) == ("commercial", "CC BY 2.0")


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([("pmc", "12")], ("pmc:PMC12", None, 1)),
        ([("pmcid", "PMC12"), ("pmcid-ver", "PMC12.3"), ("pmid", "5")], ("pmc:PMC12", 5, 3)),
        ([("doi", "10.1/ABC")], ("doi:10.1/abc", None, 1)),
        ([("publisher-id", "x"), ("pmid", "no")], (None, None, 1)),
        ([("pmc", "../../x"), ("pmid", "0")], (None, None, 1)),
    ],
)
def test_ids(read: Any, ids: Any, expected: Any) -> None:
    meta = "".join(f'<article-id pub-id-type="{k}">{v}</article-id>' for k, v in ids)
    (found,) = read(article(meta=meta))
    assert (found.id, found.pmid, found.version) == expected


def test_sections_lists_and_labels(read: Any) -> None:
    body = """<sec><label>1.1</label><title>Aims</title><p>First we
      ask:</p><list><list-item><label>1.</label><p>One,</p></list-item>
      <list-item><p>two.</p></list-item></list></sec><sec><title>End</title>
      <def-list><def-item><term>AB</term><def><p>a b</p></def></def-item></def-list></sec>"""
    expected = ["1.1 Aims", "First we ask:", "1. One,", "two.", "End", "AB", "a b"]
    assert body_of(read, body) == expected


def test_inline_markup_neither_adds_nor_loses_spaces(read: Any) -> None:
    body = """<p>H<sub>2</sub>O and <italic>in</italic> <bold>vivo</bold><sup><xref>1</xref>,
    </sup>a<break/>b <named-content>NC</named-content>; <ext-link>link</ext-link>.</p>"""
    assert body_of(read, body) == ["H2O and in vivo [1] a b NC; link."]


def test_floats_do_not_cut_a_sentence(read: Any) -> None:
    body = """<p>We saw <fig><label>Figure 1</label><caption><title>A cell.</title><p>Blue.</p>
    </caption><graphic/></fig>that it grew<fn><p>Slowly.</p></fn>.</p><p>Next.</p>"""
    expected = ["We saw that it grew.", "Figure 1 A cell.", "Blue.", "Slowly.", "Next."]
    assert body_of(read, body) == expected


TABLE = """<p>See.</p><table-wrap><label>Table 1</label><caption><p>Doses.</p></caption><table>
<tr><th>mg</th><th>n</th></tr><tr><td>5</td><td>10</td></tr></table>
<table-wrap-foot><p>Means.</p></table-wrap-foot></table-wrap>"""


def test_tables_are_captions_unless_asked_for(read: Any) -> None:
    assert body_of(read, TABLE) == ["See.", "Table 1 Doses.", "Means."]
    expected = ["See.", "Table 1 Doses.", "mg n", "5 10", "Means."]
    assert body_of(read, TABLE, tables=True) == expected


def test_references_and_back_matter_on_request(read: Any) -> None:
    back = """<back><ack><p>Thanks.</p></ack><ref-list><ref><label>1</label>
    <mixed-citation>A, B.</mixed-citation></ref></ref-list>
    <sec><fig><label>Figure 2</label><caption><p>Old.</p></caption></fig></sec></back>
    <floats-group><fig><caption><p>New.</p></caption></fig></floats-group>"""
    content = article(rest=back)

    def lines(**options: Any) -> Any:
        return read(content, text_options=TextOptions(**options))[0].body.split("\n")

    assert lines() == ["Text.", "New.", "Figure 2 Old."]
    assert lines(references=True) == ["Text.", "New.", "Figure 2 Old.", "1 A, B."]
    assert lines(back=True) == ["Text.", "New.", "Thanks.", "Figure 2 Old."]


def test_formulas(read: Any) -> None:
    mathml = "<m:math><m:mfrac><m:mi>a</m:mi><m:mn>2</m:mn></m:mfrac></m:math>"
    tex = r"<tex-math>\documentclass{minimal}\begin{document}$$\alpha$$\end{document}</tex-math>"
    body = f"""<p>If <inline-formula><alternatives>{tex}{mathml}<inline-graphic/></alternatives>
    </inline-formula> or <inline-formula>{tex}</inline-formula>:<disp-formula>{mathml}
    <label>(1)</label></disp-formula>then.</p>"""
    assert body_of(read, body) == [r"If a/2 or \alpha:", "a/2 (1)", "then."]


def test_notices_and_retracted_articles(read: Any) -> None:
    for kind, notice in (("retraction", "retraction_notice"), ("correction", "erratum")):
        (found,) = read(article(attributes=f'article-type="{kind}"'))
        assert found.notice == notice
    retracted = META + '<related-article related-article-type="retraction-forward"/>'
    (found,) = read(article(meta=retracted))
    assert found.is_retracted
    assert not read(article())[0].is_retracted


def test_article_sets_and_gzip(read: Any, tmp_path: Path) -> None:
    content = f"<pmc-articleset>{article()}{article('<p>Two.</p>')}</pmc-articleset>"
    assert [a.body for a in read(content)] == ["Text.", "Two."]
    assert [a.body for a in read(gzip.compress(content.encode()))] == ["Text.", "Two."]


def test_an_article_without_text_is_still_an_article(read: Any) -> None:
    (found,) = read("<article/>")
    assert (found.id, found.title, found.abstract, found.body) == (None, "", "", "")
    # Captions without a body are no full text.
    (found,) = read(article("", rest="<floats-group><fig><p>x</p></fig></floats-group>"))
    assert found.body == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no XML element"),
        (b"<html/>", "root is <html>, expected <article> or <pmc-articleset>"),
        (article().encode()[:-20], "not well-formed"),
        (gzip.compress(article().encode())[:-9], "cut short"),
        (article("<p>&nbsp;</p>").encode(), "Entity 'nbsp' not defined"),
        (b'<!DOCTYPE article [<!ENTITY a "b">]>' + article("<p>&a;</p>").encode(), "entities"),
        (article("<p>a@b</p>").encode().replace(b"@", b"\xff"), "Invalid bytes"),
        (article("<p>" + "<i>" * 400 + "</i>" * 400 + "</p>").encode(), "Excessive depth"),
        (article("<sec><article/></sec>").encode(), "has <article> in <sec>"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(read: Any, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(content)
    assert "\n" not in str(caught.value)


def test_sizes_are_bounded(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    content = article("<p>x</p>" * 40_000)
    with pytest.raises(DataError, match="more than the 100000 bytes allowed, decompressed"):
        read(gzip.compress(content.encode()), max_bytes=100_000)
    monkeypatch.setattr("mediswift_cs.corpora.xml_stream.MAX_RECORD_BYTES", 200_000)
    with pytest.raises(DataError, match="a record of more than the 200000 bytes"):
        read(content)
    many = f"<pmc-articleset>{article('<p>x</p>' * 10_000) * 6}</pmc-articleset>"
    assert len(read(many)) == 6
