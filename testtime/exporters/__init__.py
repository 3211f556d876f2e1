"""Our results for other tools: tidy tables, a Hugging Face dataset folder and a model's results,
Inspect's JSON logs, records of Every Eval Ever, and the local stores of W&B and MLflow.
"""

from testtime.exporters.eval_results import export_eval_results
from testtime.exporters.every_eval_ever import export_every_eval_ever
from testtime.exporters.inspect_json import export_inspect
from testtime.exporters.mlflow import export_mlflow
from testtime.exporters.tables import export_hub, export_tidy
from testtime.exporters.wandb import export_wandb

__all__ = [
    "export_eval_results",
    "export_every_eval_ever",
    "export_hub",
    "export_inspect",
    "export_mlflow",
    "export_tidy",
    "export_wandb",
]
