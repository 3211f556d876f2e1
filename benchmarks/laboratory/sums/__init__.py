"""The quickstart model's recipe: it adds and subtracts. Modules run as `python -m
benchmarks.laboratory.sums.NAME`.
"""
