"""SelfAlign: self-supervised fine-grained alignment for independent-embedding image-text retrieval."""

import os

__version__ = "0.1.0"

__path__.append(os.path.join(os.path.dirname(__file__), "commands"))  # python -m selfalign.check
