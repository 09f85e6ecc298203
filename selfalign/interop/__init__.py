"""The authors' files: their checkpoints and vocabularies become ours, and run nothing on the way."""
