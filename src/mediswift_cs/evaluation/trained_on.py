"""Documents that are scored although the model was trained on them."""

from collections.abc import Collection
from pathlib import Path

from mediswift_cs.checkpoints.mdl import MdlFile
from mediswift_cs.checkpoints.record import stored_params
from mediswift_cs.errors import DataError
from mediswift_cs.tasks.example import read_examples_file
from mediswift_cs.tokens.manifest import find_manifest, shard_paths, shards_fingerprint


def documents_trained_on(checkpoint: Path, documents: Collection[str]) -> list[str] | None:
    """Those of ``documents`` whose examples the checkpoint's run was fine-tuned on, sorted.

    None where that is not known: the run's data is not where it was, or is other data now.
    """
    with MdlFile(checkpoint) as file:
        params, position = stored_params(file.state), file.state.get("dataloader")
    try:
        folder = Path(params["trainer"]["fit"]["train_dataloader"]["data_dir"])
        fingerprint = position["dataset"]["shards_sha256"]
        manifest = find_manifest(folder)
        if manifest is None or shards_fingerprint(shard_paths([folder])) != fingerprint:
            return None
        examples = manifest.parent / f"{folder.name}.jsonl"
        trained_on = {example.document for example in read_examples_file(examples)}
    except (DataError, OSError, LookupError, TypeError):
        return None
    return sorted(trained_on.intersection(documents))


def warning(documents: list[str], num_scored: int) -> str:
    """What to say about them; nothing where there are none."""
    if not documents:
        return ""
    shown = ", ".join(documents[:3]) + (", ..." if len(documents) > 3 else "")
    return (
        f"warning: the model was trained on {len(documents)} of the {num_scored} documents that "
        f"are scored ({shown}); the score says nothing about new ones"
    )
