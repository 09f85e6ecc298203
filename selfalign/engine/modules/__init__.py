"""The LightningModules: towers and losses in training, recall in validation. ``retrieval`` is what both share."""
