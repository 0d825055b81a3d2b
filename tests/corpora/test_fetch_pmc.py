"""Articles of a list of keys, and how many connections fetch them."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.cli import main
from mediswift_cs.corpora.download import Downloader
from mediswift_cs.corpora.fetch import KEY_EXAMPLE, fetch_pmc
from mediswift_cs.errors import ConfigError, DataError

from .server import QUICK


def test_pmc_by_a_list(server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(1, 4):
        server.files[f"/PMC{n}.1/PMC{n}.1.xml"] = f"<article>{n}</article>".encode()
    server.faults["/PMC2.1/PMC2.1.xml"] = ["other bytes"]
    listing = tmp_path / "list.csv"
    listing.write_text(
        "Bucket,Key\n"
        + "".join(f"b,PMC{n}.1/PMC{n}.1.{k}\n" for n in range(1, 4) for k in ("xml", "pdf"))
    )
    arguments = ["fetch", "pmc", "--list", str(listing), "--address", server.address]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    assert "3 fetched, 0 already there" in capsys.readouterr().out
    assert (tmp_path / "out/PMC2.1/PMC2.1.xml").read_text() == "<article>2</article>"
    server.files["/list.txt"] = b"PMC1.1/PMC1.1.xml\n"
    counts = fetch_pmc(
        tmp_path / "out", server.address + "list.txt", address=server.address, downloader=None
    )
    assert counts == Counter(fetched=0, already_there=1)


@pytest.mark.parametrize("key", ["../x.xml", "/etc/x.xml", "a/../../x.xml", "a//b.xml", "a\\b.xml"])
def test_no_key_leaves_the_folder(server: Any, tmp_path: Path, key: Any) -> None:
    listing = tmp_path / "list.txt"
    listing.write_text(f"PMC1.xml\n{key}\n")
    with pytest.raises(DataError, match=r"line 2 of .*list\.txt has .* no key of a bucket"):
        fetch_pmc(tmp_path / "out", str(listing), address=server.address, downloader=None)
    assert not (tmp_path / "out").exists()


def test_what_a_key_looks_like_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing = tmp_path / "list.txt"
    listing.write_text("PMC1\nPMC2\n")
    assert main(["fetch", "pmc", "--list", str(listing), "--output", str(tmp_path / "out")]) == 2
    with pytest.raises(SystemExit):
        main(["fetch", "--help"])
    shown = capsys.readouterr()
    assert KEY_EXAMPLE in shown.err
    assert KEY_EXAMPLE in shown.out


def test_no_more_connections_than_allowed(server: Any, tmp_path: Path) -> None:
    keys = [f"PMC{n}.xml" for n in range(40)]
    server.files.update({f"/{key}": b"<article/>" * 20_000 for key in keys})
    listing = tmp_path / "list.txt"
    listing.write_text("\n".join(keys))
    downloader = Downloader(num_connections=2, **QUICK)
    fetch_pmc(tmp_path / "out", str(listing), address=server.address, downloader=downloader)
    # The server may still be at the end of an answer when the next request is there.
    assert 1 <= server.most_active <= 4
    with pytest.raises(ConfigError, match="connections: got 100, allowed: 1 to 32"):
        Downloader(num_connections=100)
