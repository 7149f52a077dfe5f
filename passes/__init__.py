"""Passes: graph to graph, one file a pass; the file name is the pass name (see `edgec.pipeline`)."""
