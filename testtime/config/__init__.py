"""The YAML of a run as typed models; every wrong key or value is named with its line."""
