"""What a budget is: the delimiters of a model family, the nested sampler and other ways to think
longer.
"""
