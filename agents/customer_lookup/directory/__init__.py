"""The retailer's customer system: calls, credentials, answers, and the mock of one."""
