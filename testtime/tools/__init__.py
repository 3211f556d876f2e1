"""What a model may call while it thinks: one file a tool, made by name in `registry`."""
