"""What networks are trained for: the losses of every task.

One file per task; `_base.py` is the contract, `search_spaces/tasks/` has the declarations.
"""
