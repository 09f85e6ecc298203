"""The settings of a sweep, ranked by validation: rows, table, picture. ``standings`` is the entry."""
