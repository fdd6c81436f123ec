"""Packaged YAML configurations and the strict loader that reads them."""
