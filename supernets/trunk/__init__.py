"""Stems, downsamplings and heads with elastic widths: one implementation per file."""
