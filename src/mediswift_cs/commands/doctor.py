"""``mediswift doctor``: what of this environment fits, and what to do about what does not."""

import argparse

HELP = """Look over Python, packages, PATH, cluster, GPU and machine, and say what to do.

A line each: "ok", "note" for what is not there and need not be, or "BAD" with what to do about it.
Exit code 1 where a line is BAD.

examples:
  mediswift doctor
  mediswift doctor --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the form of the answer."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Print what was found; returns 0, or 1 where something is wrong."""
    import dataclasses
    import json

    from mediswift_cs.doctor import BAD, examine
    from mediswift_cs.packages import versions

    findings = examine()
    if args.json:
        found = [dataclasses.asdict(finding) for finding in findings]
        print(json.dumps({"versions": versions(), "findings": found}, indent=2))
    else:
        for finding in findings:
            print(f"{finding.state:<4}  {finding.what}: {finding.text}")
            if finding.advice:
                print(f"      -> {finding.advice}")
    return 1 if any(finding.state == BAD for finding in findings) else 0
