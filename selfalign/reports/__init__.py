"""Numbers in, words and pictures out. Needs no torch, so that commands that only report answer at once."""
