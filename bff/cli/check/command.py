"""Is this installation set up right? `python -m bff check`, for a person and for a pipeline.

It asks the provider, Redis and the upstreams, and changes nothing at any of them. The exit code is
1 if a row has failed; a warning is no failure.
"""

from __future__ import annotations

import argparse
import json
import logging
import textwrap
from collections import Counter

from bff.cli.check import settings
from bff.cli.check.finding import Finding, one_line
from bff.cli.exit_codes import CHECK_FAILED, OK

WIDTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--from-outside",
        action="store_true",
        help="call APP_BASE_URL as a browser does, too; the servers must run",
    )


def run(options: argparse.Namespace) -> int:
    """Print a row for each finding.

    Returns:
        The exit code: 0 if all is well or there are warnings, 1 if a row has failed.
    """
    # The rows say it all; a log line between them would be read as one.
    logging.getLogger("bff").addHandler(logging.NullHandler())
    config, found = settings.findings()
    if config is not None:
        # Imported here, so that the other commands don't load it.
        from bff.cli.check import questions

        found += questions.everything(config, from_outside=options.from_outside)
    counted = Counter(row.status for row in found)
    if options.json:
        totals = {status: counted[status] for status in ("ok", "warning", "failed")}
        print(json.dumps({"findings": [_as_json(row) for row in found], **totals}))
    else:
        _print(found)
        warnings = "1 warning" if counted["warning"] == 1 else f"{counted['warning']} warnings"
        print(f"{counted['ok']} ok, {warnings}, {counted['failed']} failed.")
    return CHECK_FAILED if counted["failed"] else OK


def _as_json(row: Finding) -> dict[str, object]:
    return {
        "subject": row.subject,
        "status": row.status,
        "meaning": row.meaning,
        "advice": row.advice,
        "variables": row.variables,
    }


def _print(found: list[Finding]) -> None:
    for row in found:
        status = row.status.upper() if row.status == "failed" else row.status
        print(_wrapped(f"{status:<8} {one_line(row.subject)}: {_sentence(row.meaning)}"))
        if row.advice:
            print(_wrapped(f"{'':<8} -> {_sentence(row.advice)}"))


def _wrapped(line: str) -> str:
    return textwrap.fill(
        line, WIDTH, subsequent_indent=" " * 12, break_long_words=False, break_on_hyphens=False,
        drop_whitespace=True, replace_whitespace=False,
    )  # fmt: skip


def _sentence(text: str) -> str:
    return one_line(text).rstrip(".") + "."
