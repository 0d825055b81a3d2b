"""No text is dropped by an element's name in silence."""

from typing import Any

import pytest
from lxml import etree

from mediswift_cs.corpora.jats_elements import Role, role_of
from mediswift_cs.corpora.jats_text import TextCollector
from mediswift_cs.corpora.text_options import TextOptions

TAXPUB = "http://www.plazi.org/taxpub"
NAMESPACES = (
    'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:m="http://www.w3.org/1998/Math/MathML" '
    f'xmlns:tp="{TAXPUB}"'
)


def read(inner: str, language: str | None = "en", **options: Any) -> Any:
    article = etree.fromstring(f"<article {NAMESPACES}><body>{inner}</body></article>")
    collector = TextCollector(TextOptions(**options), language)
    collector.add(article[0])
    return collector


def lines_of(inner: str, **options: Any) -> Any:
    return read(inner, **options).lines


# Elements that JATS allows in a sentence; each with text of its own in it.
IN_A_SENTENCE = """
    abbrev bold chem-struct code email ext-link fixed-case inline-media
    inline-supplementary-material italic monospace named-content overline price related-article
    related-object roman sans-serif sc strike styled-content sub sup target underline uri xref
    award-id funding-source institution object-id journal-title
"""


@pytest.mark.parametrize("name", IN_A_SENTENCE.split())
def test_a_sentence_keeps_all_its_words(name: str) -> None:
    assert lines_of(f"<p>We saw <{name}>this</{name}> there.</p>") == ["We saw this there."]


@pytest.mark.parametrize("name", ["alt-text", "long-desc", "index-term", "rp", "private-char"])
def test_what_is_not_drawn_is_left_out(name: str) -> None:
    assert lines_of(f"<p>We saw <{name}>this</{name}>it.</p>") == ["We saw it."]


def test_an_element_that_is_not_listed_is_text_and_counted() -> None:
    found = read('<p>a <odd>b</odd> <x:odd xmlns:x="urn:x">c</x:odd> <other>d</other></p>')
    assert found.lines == ["a b c d"]
    assert found.unlisted == {"odd": 2, "other": 1}
    assert not read("<p>a <bold>b</bold></p>").unlisted


def test_names_without_end_do_not_fill_the_memory() -> None:
    found = read("".join(f"<e{n}/>" for n in range(3000)))
    assert sum(found.unlisted.values()) == 3000
    assert len(found.unlisted) == 1001


# The elements of JATS 1.3 (archiving) and of NLM's publishing DTDs, below the article itself.
OF_JATS = """
    abbrev abbrev-journal-title abstract access-date ack addr-line address aff aff-alternatives
    alt-text alt-title alternatives annotation anonymous answer answer-set app app-group array
    article-categories article-id article-meta article-title article-version
    article-version-alternatives attrib author-comment author-notes award-desc award-group
    award-id award-name back bio block-alternatives body bold boxed-text break caption
    chapter-title chem-struct chem-struct-wrap citation-alternatives city code col colgroup
    collab collab-alternatives comment compound-kwd compound-kwd-part compound-subject
    compound-subject-part conf-acronym conf-date conf-loc conf-name conf-num conf-sponsor
    conf-theme conference contrib contrib-group contrib-id contributed-resource-group
    copyright-holder copyright-statement copyright-year corresp count country counts custom-meta
    custom-meta-group data-title date date-in-citation date-not-available day def def-head
    def-item def-list degrees disp-formula disp-formula-group disp-quote edition
    element-citation elocation-id email equation-count era etal event event-desc explanation
    ext-link extended-by fax fig fig-count fig-group fixed-case floats-group fn fn-group fpage
    free_to_read front front-stub funding-group funding-source funding-statement given-names
    glossary glyph-data glyph-ref gov graphic history hr index index-div index-entry index-group
    index-term index-term-range-end index-title-group inline-formula inline-graphic inline-media
    inline-supplementary-material institution institution-id institution-wrap isbn issn issn-l
    issue issue-id issue-part issue-sponsor issue-subtitle issue-title issue-title-group italic
    journal-id journal-meta journal-subtitle journal-title journal-title-group kwd kwd-group
    label legend license license-p license_ref list list-item long-desc lpage media meta-name
    meta-value milestone-end milestone-start mixed-citation monospace month name
    name-alternatives named-content nav-pointer nav-pointer-group nested-kwd nlm-citation note
    notes object-id
    on-behalf-of open-access option overline overline-end overline-start p page-count page-range
    part-title patent permissions person-group phone postal-code prefix preformat price
    principal-award-recipient principal-investigator private-char processing-meta product
    pub-date pub-history pub-id publisher publisher-loc publisher-name question
    question-preamble question-wrap question-wrap-group rb ref ref-count ref-list
    related-article related-object resource-group resource-id resource-name resource-wrap
    response restricted-by role roman rp rt ruby sans-serif sc season sec sec-meta see see-also
    see-also-entry see-entry self-uri series series-text series-title sig sig-block size source
    speaker speech state statement std std-organization strike string-conf string-date
    string-name styled-content sub sub-article subj-group subject subtitle suffix sup supplement
    supplementary-material support-description support-group support-source surname table
    table-count table-wrap table-wrap-foot table-wrap-group target tbody td term term-head
    tex-math textual-form tfoot th thead time-stamp title title-group toc toc-div toc-entry
    toc-group toc-title-group tr trans-abstract trans-source trans-subtitle trans-title
    trans-title-group underline underline-end underline-start unstructured-kwd-group uri
    verse-group verse-line version volume volume-id volume-issue-group volume-series word-count
    x xref year
"""


def test_every_element_of_jats_is_listed() -> None:
    assert [name for name in OF_JATS.split() if role_of(name) is Role.UNLISTED] == []
    assert len(OF_JATS.split()) > 300
    assert role_of("no-such-name") is Role.UNLISTED


def test_roles_do_not_depend_on_the_namespace() -> None:
    assert role_of(f"{{{TAXPUB}}}taxon-name") is role_of("italic") is Role.INLINE


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (
            "<table-wrap><label>Table 1</label><caption><p>Doses.</p></caption><table-wrap-foot>"
            "<attrib>CK, control.</attrib><fn><label>a</label><p>Note.</p></fn></table-wrap-foot>"
            "</table-wrap>",
            ["Table 1 Doses.", "CK, control.", "a Note."],
        ),
        (
            "<fig><caption><p>A cell.</p></caption><graphic><alt-text>x</alt-text></graphic>"
            "<attrib>Source: WHO</attrib><permissions><copyright-statement>c</copyright-statement>"
            "</permissions></fig>",
            ["A cell.", "Source: WHO"],
        ),
        (
            "<graphic><label>Scheme 1</label><caption><p>A route.</p></caption></graphic>"
            "<p>a <media><caption><p>A film.</p></caption></media>b <graphic/>c</p>",
            ["Scheme 1 A route.", "a b c", "A film."],
        ),
        (
            "<p>The <abbrev>WHO<def><p>Health</p></def></abbrev> says.</p>",
            ["The WHO says.", "Health"],
        ),
        ("<p><ruby><rb>A</rb><rp>(</rp><rt>b</rt><rp>)</rp></ruby></p>", ["A(b)"]),
        (
            "<p><italic><named-content>Aus</named-content><named-content>bus</named-content></italic>"
            " <tp:taxon-name><tp:taxon-name-part>Cus</tp:taxon-name-part><tp:taxon-name-part>dus"
            "</tp:taxon-name-part><object-id>urn:1</object-id></tp:taxon-name>.</p>",
            ["Aus bus Cus dus."],
        ),
        (
            "<p>Let <array><label>A</label><tbody><tr><td>1</td></tr></tbody><attrib>By us</attrib>"
            "</array>be (<supplementary-material>File S1</supplementary-material>).</p>",
            ["Let be (File S1).", "A By us"],
        ),
        (
            "<p>By <name><surname>Doe</surname><given-names>J</given-names></name>.</p>",
            ["By Doe J."],
        ),
        (
            "<p><inline-formula><m:math><m:mi>x</m:mi></m:math><tex-math>$x$</tex-math>"
            "</inline-formula> <inline-formula><tex-math>$y$</tex-math></inline-formula></p>",
            ["x y"],
        ),
        (
            "<disp-formula><label>(1)</label><m:math><m:mi>a</m:mi></m:math></disp-formula>",
            ["(1) a"],
        ),
        (
            "<chem-struct-wrap><alternatives><graphic/><textual-form>CCO</textual-form>"
            "</alternatives></chem-struct-wrap>",
            ["CCO"],
        ),
        (
            '<sec xml:lang="fr"><p>Texte.</p></sec><fig><caption xml:lang="en-GB"><p>Cell.</p>'
            '</caption><caption xml:lang="es"><p>Figura.</p></caption></fig>'
            '<p><italic xml:lang="la">in vivo</italic></p>',
            ["Cell.", "in vivo"],
        ),
    ],
)
def test_structure(inner: str, expected: Any) -> None:
    assert lines_of(inner) == expected


def test_what_pmc_puts_under_files_is_no_text() -> None:
    files = """<supplementary-material><label>Table S1</label><media><caption><p>Click here for
        additional data file.</p></caption></media></supplementary-material>
        <supplementary-material><caption><title>File 2</title><p>Click here for file</p></caption>
        </supplementary-material><supplementary-material><p>Click here to view.<sup>(38K, pdf)</sup>
        </p></supplementary-material>"""
    assert lines_of(files) == ["Table S1", "File 2"]
    said = "<p>Users were told to Click here for help with the menu.</p>"
    assert lines_of(said) == ["Users were told to Click here for help with the menu."]


def test_a_row_of_a_table_is_one_line() -> None:
    table = """<table><tr><th><p>a</p><p>b</p></th><th>n<xref ref-type="table-fn">*</xref></th></tr>
        <tr><td>1</td><td><list><list-item><p>x</p></list-item></list></td></tr></table>"""
    assert lines_of(table) == []
    assert lines_of(table, tables=True) == ["a b n [*]", "1 x"]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (
            "<element-citation><person-group><name><surname>Smith</surname><given-names>J"
            "</given-names></name><name><surname>Doe</surname><given-names>K</given-names></name>"
            "</person-group><article-title>On mice</article-title><source>J Own</source>"
            "<year>2001</year><volume>12</volume><fpage>3</fpage></element-citation>",
            "Smith J, Doe K. On mice. J Own. 2001;12:3",
        ),
        (
            "<mixed-citation><collab>WHO</collab><etal/><article-title>Why?</article-title><source>"
            "J.</source><year>1999</year><month>Jan</month><volume>1</volume><issue>2</issue><fpage>"
            "3</fpage><lpage>9</lpage><pub-id>10.1/x</pub-id></mixed-citation>",
            "WHO, et al. Why? J. 1999 Jan;1(2):3-9",
        ),
        (
            "<nlm-citation><source>Book</source><publisher-loc>Paris</publisher-loc><publisher-name>"
            "Pub</publisher-name><elocation-id>e1</elocation-id></nlm-citation>",
            "Book. Paris: Pub. e1",
        ),
        (
            "<mixed-citation><name><surname>A</surname><given-names>B</given-names></name>, "
            "<etal/>. <source>S</source> 2001; doi: <pub-id>10.1/x</pub-id>.</mixed-citation>",
            "A B, et al. S 2001; doi: 10.1/x.",
        ),
        (
            "<citation-alternatives><element-citation><source>S</source><year>2000</year>"
            "</element-citation><mixed-citation>S (2000)</mixed-citation></citation-alternatives>",
            "S. 2000",
        ),
    ],
)
def test_references_are_readable(reference: str, expected: str) -> None:
    inner = f"<ref-list><ref><label>1</label>{reference}</ref></ref-list>"
    assert lines_of(inner, references=True) == [f"1 {expected}"]
    assert lines_of(inner) == []
