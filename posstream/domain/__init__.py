"""Pure rules that plugins share (identifier, customer, …): no I/O, no clock, no other package."""
