"""What a run leaves in its folder: names, writers and the one reader. No other room opens these files.

``folder`` is the run; ``checkpoint``, ``results``, ``ranks_file`` and ``embeddings`` are its files; ``jobs`` are runs
of a sweep.
"""
