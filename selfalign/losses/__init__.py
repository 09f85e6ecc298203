"""One training loss a file, each a module around a pure function; none knows a model, a setting or a logger."""
