"""How one attempt spends compute: the meaning of a budget, and one file a strategy."""
