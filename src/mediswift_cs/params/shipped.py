"""The files of a checkout that are rendered from the table of sizes: compare and write them."""

import difflib
from pathlib import Path

import mediswift_cs
from mediswift_cs.errors import ConfigError
from mediswift_cs.params.recipes import render_all, render_all_finetuning, render_deviations
from mediswift_cs.storage.write import write_text


def rendered_files() -> dict[str, str]:
    """Path below the checkout -> text."""
    texts = {**render_all(), **render_all_finetuning()}
    files = {f"params/{name}": text for name, text in texts.items()}
    return {**files, "docs/deviations.md": render_deviations()}


def find_checkout(root: Path | None = None) -> Path:
    """`root`, or the checkout that this package runs from.

    Raises:
        ConfigError: that is no checkout; an installed package has none.
    """
    found = root or Path(mediswift_cs.__file__).parents[2]
    if not (found / "params").is_dir():
        raise ConfigError(f"--root: got {found}, allowed: a checkout with a folder params")
    return found


def differences(root: Path) -> list[str]:
    """A unified diff for each file that is not what the table says; empty if all are."""
    diffs = []
    for name, text in rendered_files().items():
        path = root / name
        found = path.read_text(encoding="utf-8") if path.is_file() else ""
        if found != text:
            lines = difflib.unified_diff(
                found.splitlines(), text.splitlines(), name, f"{name} (rendered)", "", "", 1, ""
            )
            diffs.append("\n".join(lines))
    return diffs


def write(root: Path) -> list[Path]:
    """Write every rendered file, each in one move; returns their paths."""
    return [write_text(root / name, text) for name, text in rendered_files().items()]


def check_or_write(*, write_files: bool, root: Path | None = None) -> int:
    """What ``--check`` and ``--write`` do; returns 1 if ``--check`` found a difference."""
    checkout = find_checkout(root)
    if write_files:
        print(f"{len(write(checkout))} files written below {checkout}")
        return 0
    diffs = differences(checkout)
    for diff in diffs:
        print(diff)
    print(f"{len(diffs)} of {len(rendered_files())} files differ from the table of sizes")
    return 1 if diffs else 0
