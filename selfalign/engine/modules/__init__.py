"""The LightningModules: towers and losses in training, recall in validation."""
