"""What identifies the content of a file, or a text."""

import hashlib
from pathlib import Path


def md5_of(path: Path) -> str:
    """The md5 of a file's content in hexadecimal digits; NLM and ETags give it, nothing secret."""
    return _digest(path, "md5")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content in hexadecimal digits."""
    return _digest(path, "sha256")


def hash64(text: str) -> int:
    """64 bits of a text that are the same on every machine: a blake2b, its first byte highest."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _digest(path: Path, name: str) -> str:
    # A system in FIPS mode refuses md5 that is not said to be harmless.
    with path.open("rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.new(name, usedforsecurity=False)
        ).hexdigest()
