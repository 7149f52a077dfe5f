"""Chips as data: one TOML file a target, every constant with its source."""
