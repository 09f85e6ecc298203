"""The networks: two towers whose outputs meet in a dot product only, and their parts."""
