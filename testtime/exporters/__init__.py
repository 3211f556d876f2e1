"""Our results for other tools: tidy tables, a Hugging Face dataset folder and a model's results,
Inspect's JSON logs.
"""

from testtime.exporters.eval_results import export_eval_results
from testtime.exporters.inspect_json import export_inspect
from testtime.exporters.tables import export_hub, export_tidy

__all__ = ["export_eval_results", "export_hub", "export_inspect", "export_tidy"]
