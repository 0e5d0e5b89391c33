"""Who may ask: keys, sessions, bounds on guessing, what is shown to whom, and the audit log."""
