"""The networks: two towers whose outputs meet in a dot product only, and their parts.

``vsrn`` and ``camera`` are the two, ``base`` is what they share; all other files are their layers.
"""
