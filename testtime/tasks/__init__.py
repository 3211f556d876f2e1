"""What is asked: one YAML a benchmark, loaded into problems whose prompts are already rendered.

A new benchmark is one YAML file: in this folder, or anywhere when its path is given to `load`.
"""

from testtime.tasks.registry import Problem, Task, load, names, show

__all__ = ["Problem", "Task", "load", "names", "show"]
