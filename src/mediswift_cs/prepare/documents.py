"""The stages up to ``guard`` alone, with one file of documents as their result."""

import shutil
from glob import escape
from pathlib import Path
from typing import Any

from mediswift_cs.corpora.document import recorded_name
from mediswift_cs.corpora.documents_file import (
    SUFFIXES,
    DocumentsWriter,
    manifest_path,
    read_documents_manifest,
    read_lines,
)
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.prepare.config import PrepareSettings
from mediswift_cs.prepare.parse import Quarantined, describe_part
from mediswift_cs.prepare.pipeline import NoDocumentError, Pipeline
from mediswift_cs.prepare.results import sources_of
from mediswift_cs.prepare.stage_tasks import StageTasks
from mediswift_cs.progress import progress
from mediswift_cs.storage.lock import only_process
from mediswift_cs.storage.made import check_same, is_unbegun, no_output_of_ours
from mediswift_cs.storage.read import check_keys, check_type, object_or_empty
from mediswift_cs.storage.write import atomic_file, check_writable, remove_partial, write_json

STAGES = ("parse", "clean", "dedup", "guard")


def write_documents(settings: PrepareSettings, *, overwrite: bool) -> tuple[dict[str, Any], bool]:
    """Make the documents that a whole run with these settings makes, as one file.

    A run that was killed goes on in its work folder, which lies beside the file until it is done.
    A file that the same inputs, settings and package version made is left as it is.

    Args:
        settings: ``output`` is the file; it ends in ``.jsonl.zst`` and appears only when it is
            complete.
        overwrite: replace a file that was made otherwise.

    Returns:
        The manifest, and whether it was made now (False: it was already there).

    Raises:
        ConfigError: the name of the file is not allowed.
        NoDocumentError: nothing is left of the inputs; where there was no file before, the manifest
            says why.
        DataError: an input does not exist, or the file cannot be written.
    """
    output = settings.output
    if not output.name.endswith(SUFFIXES[0]):
        raise ConfigError(f"the name of the documents file must end in {SUFFIXES[0]}, got {output}")
    work = output.with_name(f".{output.name}.work")
    pipeline = Pipeline(settings.model_copy(update={"output": work}), STAGES, quiet=True)
    if not pipeline.tasks.parts:
        raise ConfigError("no input: give PubMed XML files or folders, --pmc, --dataset, --sample")
    if output.exists() and not overwrite:
        return _existing(output, pipeline.tasks), False
    pipeline.check_given_files()
    check_writable(output)
    with only_process(work.with_suffix(".lock"), f"{output} is being made", is_kept=False):
        # Made by another process since.
        if output.exists() and not overwrite:
            return _existing(output, pipeline.tasks), False
        lock = work / "work" / "lock"
        if not lock.exists() and not is_unbegun(work, lock):
            raise DataError(f"{work} is no folder of this command: move it away")
        remove_partial(output.parent, escape(output.name))
        manifest = _make(pipeline, output)
        shutil.rmtree(work)
    return manifest, True


def _existing(output: Path, tasks: StageTasks) -> dict[str, Any]:
    found = read_documents_manifest(output)
    if found is None:
        raise no_output_of_ours(output, manifest_path(output).name)
    files = [file for part in tasks.parts for file in describe_part(part)[0]]
    planned = {**tasks.recipe, "sources": sources_of(files)}
    different = [name for name in planned if found.get(name) != planned[name]]
    if object_or_empty(found.get("output")).get("bytes") != output.stat().st_size:
        different.append("size")
    check_same(output, different)
    where = str(manifest_path(output))
    check_keys(found["counts"], ("records_read",), f"{where}: counts")
    check_type(list[Quarantined], found.get("quarantined"), f"{where}: quarantined")
    return found


def _make(pipeline: Pipeline, output: Path) -> dict[str, Any]:
    tasks = pipeline.tasks
    try:
        pipeline.run()
    except NoDocumentError:
        if not output.exists():
            manifest = tasks.results.manifest(tasks.recipe)
            write_json(manifest_path(output), manifest, ensure_ascii=False)
        shutil.rmtree(tasks.settings.output)
        raise
    whole = tasks.settings.output / output.name
    with atomic_file(whole) as temporary, DocumentsWriter(temporary) as writer:
        for part in progress("write", "parts", tasks.parts):
            for line in read_lines(tasks.documents(part)):
                writer.write_line(line)
    entry = {"path": recorded_name(output.name), "bytes": whole.stat().st_size}
    manifest = {**tasks.results.manifest(tasks.recipe), "output": entry}
    # First, so that there is never a file that nothing is said of.
    write_json(manifest_path(output), manifest, ensure_ascii=False)
    whole.replace(output)
    return manifest
