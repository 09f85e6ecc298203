"""Sheets of examples: queries with their first answers, words with the regions that they chose.

They are drawn from photographs and numbers alone; no model is needed.
"""
