"""One model's run: prepared, drawn, scored, priced, looked at."""
