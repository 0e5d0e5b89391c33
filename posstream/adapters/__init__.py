"""The outside world behind the ports: the directory by HTTP, topics, SQL."""
