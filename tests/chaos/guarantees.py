"""`python -m tests.chaos.guarantees RESULTS`: writes docs/explanation/guarantees.md.

The promises are in `guarantees.md` beside this file, the figures are those of the last run of
each scenario.
"""

import ast
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.chaos import report
from tests.chaos.ledger import COLUMNS
from tests.chaos.report import Result

PAGE = Path("docs/explanation/guarantees.md")
SCENARIOS = Path(__file__).parent

#: The page without its figures.
TEMPLATE = SCENARIOS / "guarantees.md"


def scenarios() -> Iterator[tuple[str, str, list[str]]]:
    """Each module of scenarios: its name, its heading, and the titles of what it plays."""
    for path in sorted(SCENARIOS.glob("test_*.py")):
        module = ast.parse(path.read_text())
        played = [
            (ast.get_docstring(node) or node.name).splitlines()[0]
            for node in module.body
            if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_")
        ]
        yield path.stem, (ast.get_docstring(module) or path.stem).splitlines()[0], played


def render(results: list[Result]) -> str:
    """The page. A scenario that was not played has no figures."""
    parts = []
    for module, heading, titles in scenarios():
        parts.append(f"\n## {heading.rstrip('.')}\n")
        parts.append("| scenario | " + " | ".join(COLUMNS) + " | besides |")
        parts.append("|---|" + "--:|" * len(COLUMNS) + "---|")
        for title in titles:
            played = [r for r in results if r.module == module and r.title == title]
            parts += [_row(result) for result in played] or [f"| {title} |" + " |" * len(COLUMNS)]
    return TEMPLATE.read_text().format(scenarios="\n".join(parts).strip(), where=_where())


def _row(result: Result) -> str:
    figures = (f"{getattr(result.count, name):,}" for name in COLUMNS)
    variant = f" ({result.variant})" if result.variant else ""
    return f"| {result.title}{variant} | {' | '.join(figures)} | {result.note} |"


def _where() -> str:
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    packages = ", ".join(f"{name} {version(name)}" for name in ("faust-streaming", "aiokafka"))
    return (
        f"Last played {datetime.now(UTC):%Y-%m-%d} at commit {commit}: "
        f"Python {platform.python_version()}, {packages}."
    )


if __name__ == "__main__":
    PAGE.write_text(render(report.kept(Path(sys.argv[1]))))
