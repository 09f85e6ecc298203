"""One run in several processes: how they start, what they exchange, how they keep memory.

What a process is among the others is decided once, in ``place``.
"""
