"""Files on disk → batches: data sets, loaders, and the shares of several processes.

Others use ``datamodule`` (training and evaluation), ``layout`` (the files of a split) and ``dataset`` (its samples).
"""
