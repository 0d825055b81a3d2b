"""The output folder: that it is ours, that one run uses it at a time, and what is cleared away."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from mediswift_cs.errors import DataError
from mediswift_cs.storage.lock import only_process
from mediswift_cs.storage.read import read_json_object
from mediswift_cs.storage.write import remove_partial

MANIFEST = "manifest.json"
CARD = "README.md"
REPORT = "corpus.html"
TOKENIZER = "tokenizer.json"
_RESULTS = ("documents", "hdf5", TOKENIZER, MANIFEST, REPORT)
# As parts are named; nobody else's file has such a name.
_PART_FILE = re.compile(r"(pubmed|pmc|dataset)-.+-[0-9a-f]{8}\.(jsonl\.zst|manifest\.json)")


@contextmanager
def only_run(output: Path) -> Iterator[None]:
    """Hold the lock of ``output/work`` within the block; two runs would remove each other's files.

    Raises:
        DataError: another run holds it, the folder cannot be written, or it holds files of the
            names of results that no earlier run made.
    """
    _check_ours(output)
    with only_process(output / "work" / "lock", f"another run is at work in {output}"):
        yield


def _check_ours(output: Path) -> None:
    """A run leaves ``work``, and where that was removed, its manifest."""
    found = [name for name in _RESULTS if (output / name).exists()]
    if not found or (output / "work" / "lock").exists():
        return
    try:
        manifest = read_json_object(output / MANIFEST)
    except DataError:
        manifest = {}
    if not {"counts", "quarantined"} <= manifest.keys():
        raise DataError(
            f"output {output} holds {', '.join(found)}, which no earlier run made; allowed: a new "
            "or empty folder, or the output of an earlier run"
        )


def remove_leftovers(output: Path) -> None:
    """Remove what a killed run was writing; nobody writes while :func:`only_run` holds."""
    for folder in [*(output / "work").iterdir(), output / "documents"]:
        remove_partial(folder)
    for name in (*_RESULTS, "tokenizer.manifest.json"):
        remove_partial(output, name)


def remove_other_documents(folder: Path, expected: Collection[str]) -> None:
    """Remove documents of parts that earlier settings had: the folder is read as a whole.

    Args:
        expected: the file names of the parts' documents.

    Raises:
        DataError: the folder holds what no run made, which would be read with the rest.
    """
    keep = {name.removesuffix(".jsonl.zst") for name in expected}
    for path in sorted(folder.iterdir()):
        if path.name == CARD or path.name.startswith("."):
            continue
        if not _PART_FILE.fullmatch(path.name):
            raise DataError(
                f"{folder} holds {path.name!r}, which no run made and which would be read with the "
                "documents: move it away"
            )
        if path.name.removesuffix(".jsonl.zst").removesuffix(".manifest.json") not in keep:
            path.unlink()
