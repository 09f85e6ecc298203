"""The authors' files: their checkpoints and vocabularies become ours. Nothing in them runs on the way."""
