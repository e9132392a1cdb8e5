"""What `import nas` offers a Python program; `nas/__init__.py` is the door to it."""
