"""How it scales: forms, one fitting core, published constants, and laws of training and test
compute together.

Reading order: `law` (what a law is), `fitting` (the core), `fit` and `result` (what a person calls
and gets), then the forms: `pretraining`, `optimum`, `sizes`, `deployment`, `accuracy`, `coverage`,
`forcing`, `joint`; `published` holds constants; `curves`, `study` and `figures` take a table from
anywhere to a report.
"""

from testtime.laws.fit import fit
from testtime.laws.law import Law, Parameter
from testtime.laws.result import Fit

__all__ = ["Fit", "Law", "Parameter", "fit"]
