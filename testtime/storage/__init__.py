"""What is kept: the run directory, its tables, files local or remote, and locks."""
