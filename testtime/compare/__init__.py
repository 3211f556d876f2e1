"""Several settings, runs or models against each other."""
