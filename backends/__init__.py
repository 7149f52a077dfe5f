"""Backends: graph to build plan, one folder each, found by name through `edgec.backend`."""
