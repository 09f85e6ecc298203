"""An index of a gallery on disk: encoded once, searched often, exactly and in bounded memory.

It reaches models through ``selfalign.retriever`` only, and refuses vectors that another model made.
"""
