"""Sheets of examples: queries with their first answers, words with the regions that they chose."""
