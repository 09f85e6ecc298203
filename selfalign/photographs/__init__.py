"""Photographs become regions with features: in a folder that training reads, or one by one for a search.

Others use ``Extractor``; ``extraction`` fills a folder.
"""

from selfalign.photographs.extractor import Extractor, Regions

__all__ = ["Extractor", "Regions"]
