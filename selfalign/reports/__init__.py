"""Numbers in, words and pictures out; needs no torch."""
