"""A worker's child processes: what a worker and its child each do about the pipes between them."""
