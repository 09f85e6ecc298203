"""Captions, their words and their tokens. What tokens mean is fixed once a run and kept with its checkpoint."""
