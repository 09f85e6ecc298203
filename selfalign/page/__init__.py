"""A page in the browser for one index: type a sentence, see pictures, and what its words chose in them.

It answers this machine only, and fetches nothing from elsewhere. Starlette, a small and well-kept server library, does
the protocol; a few static files and four questions need no larger one.
"""
