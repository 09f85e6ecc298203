"""Files on disk → batches: data sets, loaders, and the shares of several processes."""
