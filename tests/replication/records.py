"""PubMed records of our own: chains of words for a small model to learn, and check tags."""

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
SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "ve")
NUM_WORDS = 400
# Each word has so many that may follow it, the first of them most often.
NUM_SUCCESSORS = 12


def write_records(path: Path, number: int = 700) -> Path:
    """Write a file of records; the same number gives the same bytes.

    The words follow each other as in a chain of first order, and are as unequally frequent as in
    any text: a small model goes on learning, bit by bit, for longer than it is trained.
    """
    draw = random.Random(0)
    words = ["".join(draw.choices(SYLLABLES, k=draw.randrange(2, 5))) for _ in range(NUM_WORDS)]
    frequencies = [1 / (rank + 2) for rank in range(NUM_WORDS)]
    following = {
        word: draw.choices(words, frequencies, k=NUM_SUCCESSORS) for word in dict.fromkeys(words)
    }
    weights = [1 / (rank + 1) for rank in range(NUM_SUCCESSORS)]
    records = []
    for pmid in range(1, number + 1):
        tag = draw.choice(tuple(SUBJECTS))
        sentences = []
        for _ in range(draw.randrange(5, 9)):
            (word,) = draw.choices(words, frequencies)
            chain = [draw.choice(SUBJECTS[tag]), word]
            for _ in range(draw.randrange(6, 14)):
                chain += draw.choices(following[chain[-1]], weights)
            sentences.append(" ".join(chain).capitalize() + ".")
        title = f"{draw.choice(words).capitalize()} and {draw.choice(words)}, part {pmid}."
        abstract = " ".join(sentences)
        records.append(RECORD.format(pmid=pmid, title=title, abstract=abstract, tag=tag))
    path.write_text(f"<PubmedArticleSet>{''.join(records)}</PubmedArticleSet>", encoding="utf-8")
    return path
