"""Runs on the same queries beside each other: settings, intervals over images and seeds, tables, the forest plot.

``comparing`` is the entry.
"""
