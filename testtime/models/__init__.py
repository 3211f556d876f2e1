"""From a model's name to what a run needs of it: tokenizer, delimiters, template, fingerprint."""
