"""Convolutions and dense layers of 16-bit integers in vector code (Armv8.0-A): SMLAL."""
