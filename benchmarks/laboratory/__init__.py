"""The laboratory: the recipes that train the zoo's models; run the modules as `python -m benchmarks.laboratory.NAME`."""
