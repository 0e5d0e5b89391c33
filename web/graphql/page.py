"""What a browser sees at the endpoint: one page of plain HTML, no asset, no script."""

from typing import Final

PAGE: Final = """\
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
<code>Content-Type: application/json</code>, or GET for queries.</p>
<p>For example:</p>
<pre>mutation { startBasket(employeeId: 1, terminalId: "t1") { basketId } }</pre>
<pre>mutation { identifyCustomer(basketId: "basket_xxx", customerIdentifier: "+1234567890") \
{ success } }</pre>
<pre>query { customer(customerId: "CUST_001") { firstName lastName tier loyaltyPoints } }</pre>
</body>
</html>
"""
