"""Sheets of examples, drawn from plain values."""
