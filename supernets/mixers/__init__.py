"""Token mixers. One file per operator; the slot's channel MLP in `_mlp.py` follows each of them."""
