"""PubMed records of our own: sentences that a small model can learn, and check tags to tell."""

import random
from pathlib import Path

RECORD = """<PubmedArticle><MedlineCitation><PMID Version="1">{pmid}</PMID><Article>
<Journal><JournalIssue><PubDate><Year>2001</Year></PubDate></JournalIssue></Journal>
<ArticleTitle>{title}</ArticleTitle><Abstract><AbstractText>{abstract}</AbstractText></Abstract>
<Language>eng</Language></Article><MeshHeadingList><MeshHeading>
<DescriptorName UI="D0">{tag}</DescriptorName></MeshHeading></MeshHeadingList>
</MedlineCitation></PubmedArticle>"""
SUBJECTS = {
    "Humans": ("patients", "women", "children", "volunteers", "nurses"),
    "Animals": ("rats", "mice", "rabbits", "monkeys", "cattle"),
}
VERBS = ("received", "lost", "needed", "tolerated", "absorbed", "excreted")
OBJECTS = ("glucose", "insulin", "iron", "zinc", "aspirin", "heparin", "water", "oxygen")
PLACES = ("in spring", "after surgery", "during sleep", "before meals", "at rest", "under stress")


def write_records(path: Path, number: int = 700) -> Path:
    """Write a file of records; the same number gives the same bytes."""
    draw = random.Random(0)
    records = []
    for pmid in range(1, number + 1):
        tag = draw.choice(tuple(SUBJECTS))
        sentences = [
            f"{draw.choice(SUBJECTS[tag]).capitalize()} {draw.choice(VERBS)} "
            f"{draw.randrange(2, 90)} mg {draw.choice(OBJECTS)} {draw.choice(PLACES)}."
            for _ in range(draw.randrange(4, 9))
        ]
        title = f"{draw.choice(OBJECTS).capitalize()} and {draw.choice(OBJECTS)}, part {pmid}."
        abstract = " ".join(sentences)
        records.append(RECORD.format(pmid=pmid, title=title, abstract=abstract, tag=tag))
    path.write_text(f"<PubmedArticleSet>{''.join(records)}</PubmedArticleSet>", encoding="utf-8")
    return path
