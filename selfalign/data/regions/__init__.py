"""Region features and boxes."""
