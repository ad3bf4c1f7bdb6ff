"""What tests share: servers, a model of a registry, helpers."""
