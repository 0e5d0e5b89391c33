"""Events in the lists in which they are fetched: answers in batches, offsets, progress."""
