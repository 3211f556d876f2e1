"""The command line: each command is a few lines that call one function of the package."""
