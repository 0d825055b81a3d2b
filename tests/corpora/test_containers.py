"""Sets, namespaces and archives: every record is read or has an outcome that says why not."""

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.corpora.blocklist import read_pmids
from mediswift_cs.corpora.files import find_files
from mediswift_cs.corpora.pmc import read_pmc
from mediswift_cs.corpora.pmid import parse_pmid
from mediswift_cs.corpora.selection import ArticleSelection
from mediswift_cs.corpora.tar_archive import read_members
from mediswift_cs.errors import DataError

from .test_pmc import META, article

JATS = 'xmlns="https://jats.nlm.nih.gov/ns/archiving/1.3/"'
REPLY = '<Reply Id="9" error="The following PMCID is not available"/>'


def read(tmp_path: Path, content: Any) -> Any:
    path = tmp_path / "a.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_pmc(path, text_options=None))


def outcomes(articles: Any) -> Any:
    return [ArticleSelection(licences=("other",)).outcome(each) for each in articles]


@pytest.mark.parametrize(
    "content",
    [
        article(attributes=JATS),
        article()
        .replace("<", "<j:")
        .replace("<j:/", "</j:")
        .replace("<j:m:", "<m:")
        .replace("<j:article ", '<j:article xmlns:j="urn:any" ', 1),
        f"<pmc-articleset>{article()}</pmc-articleset>",
        f"<pmc-articleset {JATS}>{article()}</pmc-articleset>",
        f"<pmc-articleset>{article(attributes=JATS)}</pmc-articleset>",
        f"<articles>{article()}</articles>",
    ],
)
def test_the_same_article_in_any_dress(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content) == read(tmp_path, article())


def test_each_element_of_a_set_has_an_outcome(tmp_path: Path) -> None:
    inside = [REPLY, article(), REPLY, "<article/>", article(attributes=JATS), REPLY, "<x>y</x>"]
    found = outcomes(read(tmp_path, f"<pmc-articleset>{''.join(inside)}</pmc-articleset>"))
    assert sorted(found) == sorted(["kept"] * 2 + ["no_id"] + ["not_an_article"] * 4)


def test_nothing_found_is_an_error(tmp_path: Path) -> None:
    for content in ("<pmc-articleset/>", "<articles> </articles>"):
        with pytest.raises(DataError, match="is a set without any article"):
            read(tmp_path, content)
    assert outcomes(read(tmp_path, f"<articles>{REPLY}</articles>")) == ["not_an_article"]


def test_a_set_of_other_elements_takes_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediswift_cs.corpora.xml_stream.MAX_RECORD_MARKUP", 10_000)
    many = f"<pmc-articleset>{(article() + REPLY * 100) * 300}</pmc-articleset>"
    assert len(read(tmp_path, many)) == 300 * 101
    with pytest.raises(DataError, match="more than the 10000 tags"):
        read(tmp_path, f"<pmc-articleset>{REPLY * 50_000}</pmc-articleset>")


def archive_of(path: Path, **members: bytes) -> Any:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return dict(read_members(path, max_bytes=1 << 20, max_member_bytes=5000))


def test_members_of_an_archive(tmp_path: Path) -> None:
    text = article().encode()
    found = archive_of(
        tmp_path / "a.tar",
        a__NXML=text,
        b__nxml__gz=gzip.compress(text),
        c__Xml=gzip.compress(text),
        d__xml__gz=gzip.compress(text)[:-20],
        e__nxml__gz=gzip.compress(bytes(100_000)),
        f__tar__gz=b"x",
        g__ZIP=b"x",
        h__jpg=b"x",
    )
    assert found.keys() == {
        "a.NXML",
        "b.nxml.gz",
        "c.Xml",
        "d.xml.gz",
        "e.nxml.gz",
        "f.tar.gz",
        "g.ZIP",
    }
    assert found["a.NXML"] == found["b.nxml.gz"] == found["c.Xml"] == text
    assert "a damaged gzip file" in str(found["d.xml.gz"])
    assert "of more bytes, decompressed, allowed are 5000" in str(found["e.nxml.gz"])
    assert "an archive in an archive" in str(found["f.tar.gz"])
    assert "an archive in an archive" in str(found["g.ZIP"])


def test_names_of_files_in_upper_case(tmp_path: Path) -> None:
    for name in ("a.NXML", "b.Xml.GZ", "c.txt"):
        (tmp_path / name).touch()
    assert [name for _, name in find_files([tmp_path], (".nxml", ".xml.gz"))] == [
        "a.NXML",
        "b.Xml.GZ",
    ]


def test_an_entity_that_only_a_dtd_knows_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="&nbsp; is a name that a DTD defines, and no DTD is read"):
        read(tmp_path, article("<p>a&nbsp;b</p>"))


@pytest.mark.parametrize(
    ("text", "pmid"),
    [
        ("1", 1),
        (" 12345678\n", 12_345_678),
        ("00000012", 12),
        ("00000000112345678901", None),
        ("112345678", None),
        ("0", None),
        ("-1", None),
        ("1.0", None),
        ("\u0661", None),
        ("", None),
        (None, None),
    ],
)
def test_one_rule_for_pmids(tmp_path: Path, text: Any, pmid: Any) -> None:
    assert parse_pmid(text) == pmid
    number = f'<article-id pub-id-type="pmid">{text or ""}</article-id>'
    meta = META.replace('<article-id pub-id-type="pmid">123</article-id>', number)
    (found,) = read(tmp_path, article(meta=meta))
    assert found.pmid == pmid
    if text and text.strip():
        path = tmp_path / "pmids.txt"
        path.write_text(text)
        if pmid is None:
            with pytest.raises(DataError, match="allowed: a PMID"):
                read_pmids(path)
        else:
            assert read_pmids(path) == {pmid}


def test_an_article_with_a_pmid_only(tmp_path: Path) -> None:
    (found,) = read(tmp_path, article(meta='<article-id pub-id-type="pmid">77</article-id>'))
    assert found.id == "pubmed:77"


TRANSLATION = """<sub-article article-type="translation" xml:lang="{}"><front-stub><title-group>
<article-title>English title</article-title></title-group><abstract><p>Summary.</p></abstract>{}
</front-stub><body><p>English body.</p></body></sub-article>"""


def test_an_english_translation_stands_for_the_article(tmp_path: Path) -> None:
    portuguese = 'xml:lang="pt"'
    text = article("<p>Corpo.</p>", attributes=portuguese, rest=TRANSLATION.format("en", ""))
    (found,) = read(tmp_path, text)
    assert (found.id, found.language) == ("pmc:PMC77", "en")
    assert found.to_document("x").text == "English title\nSummary.\nEnglish body."
    for rest in (TRANSLATION.format("es", ""), ""):
        (found,) = read(tmp_path, article("<p>Corpo.</p>", attributes=portuguese, rest=rest))
        assert (found.language, found.body) == ("pt", "Corpo.")
    (found,) = read(tmp_path, article(rest=TRANSLATION.format("en", "")))
    assert found.body == "Text."


def test_a_translation_under_another_licence_does_not_get_in(tmp_path: Path) -> None:
    def licence(kind: str) -> str:
        address = f"http://creativecommons.org/licenses/{kind}/4.0/"
        return f'<permissions><license xlink:href="{address}"/></permissions>'

    for own, translated, expected in (
        ("by", "by-nc", "non-commercial"),
        ("by", "by", "commercial"),
    ):
        text = article(
            meta=META + licence(own),
            attributes='xml:lang="pt"',
            rest=TRANSLATION.format("en", licence(translated)),
        )
        assert read(tmp_path, text)[0].licence.licence_class == expected


def test_abstracts_of_other_languages_are_left_out(tmp_path: Path) -> None:
    two = '<abstract xml:lang="en"><p>Own.</p></abstract>'
    two += '<abstract xml:lang="fr"><p>Le.</p></abstract>'
    for attributes, expected in (('xml:lang="en"', "Own."), ("", "Own."), ('xml:lang="fr"', "Le.")):
        meta = META.partition("<abstract>")[0] + two
        assert read(tmp_path, article(meta=meta, attributes=attributes))[0].abstract == expected


def test_a_caption_in_a_caption_is_read_once(tmp_path: Path) -> None:
    inner = "<supplementary-material><caption><p>Data.</p></caption></supplementary-material>"
    back = f"<back><app><fig><caption><p>Cell {inner}</p></caption></fig></app></back>"
    assert read(tmp_path, article(rest=back))[0].body == "Text.\nCell\nData."


@pytest.mark.parametrize(
    "name", ["sec", "p", "fig", "disp-formula", "person-group", "m:mfrac", "x"]
)
def test_any_depth_that_xml_allows_is_read_or_refused(tmp_path: Path, name: str) -> None:
    for depth in (50, 240, 250, 300):
        content = article(f"<p>Text.</p>{f'<{name}>' * depth}{f'</{name}>' * depth}")
        refusal, found = "", None
        try:
            (found,) = read(tmp_path, content)
        except DataError as error:
            refusal = str(error)
        if found is None:
            assert "too many for Python" in refusal or "Excessive depth" in refusal
            assert depth > 50
        else:
            assert found.body.startswith("Text.")
            assert depth < 300
