"""What a rule is, how it is checked, and the rules that are shipped. Pure."""
