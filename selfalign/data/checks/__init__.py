"""What is wrong with a data set, as a list of findings."""
