"""SelfAlign: self-supervised fine-grained alignment for independent-embedding image-text retrieval."""

__version__ = "0.1.0"
