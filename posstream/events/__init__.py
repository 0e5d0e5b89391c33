"""What events of all plugins share: envelope, derived ids, AsyncAPI."""
