"""Runs as one page for a browser: a single file that fetches nothing and runs nothing.

``report`` is the entry.
"""
