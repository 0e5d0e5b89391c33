"""What a browser sees at the endpoint without GraphiQL: plain HTML, no asset, no script."""

import html
from collections.abc import Iterable
from typing import Final

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>posstream GraphQL</title>
</head>
<body>
<h1>posstream GraphQL</h1>
<p>Send GraphQL over HTTP to <code>/graphql/</code>: POST with
<code>Content-Type: application/json</code>, or GET for queries. With the extra
<code>graphiql</code> installed, this page is an editor.</p>
<p>For example:</p>
{examples}
</body>
</html>
"""


def plain_page(examples: Iterable[str]) -> str:
    """The page with operations to begin with."""
    return _PAGE.format(
        examples="\n".join(f"<pre>{html.escape(example)}</pre>" for example in examples)
    )
