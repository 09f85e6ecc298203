"""Other layouts and types of features → SCAN's layout. Streaming and resumable: neither memory nor a kill limits it."""
