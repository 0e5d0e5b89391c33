"""What a browser sees at the endpoint without GraphiQL: plain HTML, no asset, no script."""

import html
from typing import Final

from web.graphql.examples import EXAMPLES

_EXAMPLES: Final = "\n".join(f"<pre>{html.escape(example)}</pre>" for example in EXAMPLES)
PAGE: Final = f"""\
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
{_EXAMPLES}
</body>
</html>
"""
