"""What is measured: recall in both directions under a protocol, and the alignment of words with regions."""
