"""The recipe that trains the zoo: run the modules with `python -m benchmarks.ladder.<name>`."""
