"""``documents/README.md``: tells `datasets` the types of the columns, which a part cannot show."""

from dataclasses import fields
from pathlib import Path

from mediswift_cs.corpora.document import Document
from mediswift_cs.storage.write import atomic_file

CARD = "README.md"

_TYPES = {int: "int64", int | None: "int64", str: "string", str | None: "string"}


def write_card(folder: Path) -> None:
    """Write the card: a part in which no document states a licence would have null for a type."""
    columns = []
    for each in fields(Document):
        kind = f"dtype: {_TYPES[each.type]}" if each.type in _TYPES else "sequence: string"  # type: ignore[index]
        columns.append(f"  - name: {each.name}\n    {kind}\n")
    text = (
        '---\nconfigs:\n- config_name: default\n  data_files: "*.jsonl.zst"\n'
        f"dataset_info:\n  features:\n{''.join(columns)}---\n\n"
        "Documents of PubMed and PubMed Central, one JSON object a line.\n"
        '`datasets.load_dataset("FOLDER")` reads all of them.\n'
    )
    with atomic_file(folder / CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")
