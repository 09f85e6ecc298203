"""Other layouts and types of features → SCAN's layout, streaming and resumable."""
