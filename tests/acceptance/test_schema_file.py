"""The schema in the documentation is the one that is served."""

from click.testing import CliRunner

from posstream.cli import main
from tests.acceptance.test_docs import REFERENCE


def test_the_reference_has_the_schema_as_it_is() -> None:
    printed = CliRunner().invoke(main, ["schema"])
    assert printed.exit_code == 0
    kept = (REFERENCE / "schema.graphql").read_text()
    assert printed.stdout == kept, "docs/reference/schema.graphql is stale: make schema"
