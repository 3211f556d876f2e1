"""The laboratory: the recipes that train the zoo; run a module as `python -m
benchmarks.laboratory.NAME`.
"""
