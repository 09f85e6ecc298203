"""One run in several processes: how they start, what they exchange, how they keep memory."""
