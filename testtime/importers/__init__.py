"""Other tools' results as run directories: `import_csv`, `import_lm_eval`, `import_inspect`.

Each reads a log into a `Log` (plain tables) and `save` writes it; nothing is sampled and nothing is
graded again.
"""

from testtime.importers.inspect_log import import_inspect
from testtime.importers.lm_eval import import_lm_eval
from testtime.importers.log import Log, save
from testtime.importers.table import import_csv

__all__ = ["Log", "import_csv", "import_inspect", "import_lm_eval", "save"]
