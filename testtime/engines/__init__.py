"""What generates: one file an engine, one small protocol (`base.Engine`)."""
