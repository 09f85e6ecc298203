"""What is wrong with a data set, as a list of findings.

A run looks before its first step, ``selfalign check`` at any time.
"""
