"""How fragments of traced networks are carried out."""
