"""Which split a document belongs to: a function of its id and nothing else."""

import hashlib

from mediswift_cs.errors import ConfigError

# Recorded in the manifest; another function would need another name.
SPLIT_FUNCTION = "blake2b-64(id) < val_fraction * 2**64"


def check_val_fraction(val_fraction: float) -> None:
    """Raise ConfigError unless 0 <= val_fraction < 1."""
    if not 0 <= val_fraction < 1:
        raise ConfigError(f"val_fraction must be at least 0 and below 1, got {val_fraction}")


def split_of(document_id: str, val_fraction: float) -> str:
    """``"train"`` or ``"val"``.

    The same id is on the same side whatever else is in the corpus, and a document that is in "val"
    stays there when val_fraction grows.
    """
    digest = hashlib.blake2b(document_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return "val" if int.from_bytes(digest, "big") < val_fraction * 2**64 else "train"
