"""What it costs: FLOPs from the model's config, prices, measured seconds."""
