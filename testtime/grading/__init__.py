"""What is right: one file a grader, run so that no answer can hang, crash or fill the run that
grades it.
"""

from testtime.grading.base import Grade, Grader, Verdict, Work
from testtime.grading.golds import check_golds
from testtime.grading.pool import Limits
from testtime.grading.registry import names
from testtime.grading.run import grade

__all__ = ["Grade", "Grader", "Limits", "Verdict", "Work", "check_golds", "grade", "names"]
