"""How it scales: forms, one fitting core, published constants, and laws of training and test
compute together.

Reading order: `law` (what a law is), `solver` (the core), `misfit` (the test of a law), `fit` and
`result` (what a person calls and gets); then the forms `test_compute`, `training`, `coverage`,
`optimum`, with `published` constants; `curves`, `study`, `pretraining`, `joint` and
`train_to_test` take a table from anywhere to words, `figures` to a picture.
"""

from testtime.laws.fit import fit
from testtime.laws.law import Law, Parameter
from testtime.laws.result import Fit

__all__ = ["Fit", "Law", "Parameter", "fit"]
