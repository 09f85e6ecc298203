"""Files: foreign bytes are read without trust, own files are written whole."""
