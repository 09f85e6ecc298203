"""Poolings: regions or words of a sample → one vector. Each is a module that a tower is handed."""
