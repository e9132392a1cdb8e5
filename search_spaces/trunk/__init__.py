"""Stems, downsamplings and heads: one torch-free declaration per file."""
