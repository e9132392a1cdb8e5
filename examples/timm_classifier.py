"""An image classifier of timm, smaller and faster.

    nas compress examples/timm_classifier.py:classifier --data FOLDER --max-drop 1% --time 30m

Size, mean and std of images are read from the model's `pretrained_cfg`; `--resolution` says another
size. For weights of your own, give `create_model` the number of your classes instead of
`pretrained`, and the file with `--weights`. Outputs must be the classes of the folder, in the order
of their names.
"""

from typing import Any

NAME = "mobilenetv3_small_100"
"""Any classifier of `timm.list_models()` that takes images and gives scores."""


def classifier() -> Any:
    """The trained model of that name."""
    import timm

    return timm.create_model(NAME, pretrained=True)


def untrained() -> Any:
    """The same without training, for 10 classes, to try the command without a download."""
    import timm

    return timm.create_model(NAME, pretrained=False, num_classes=10)
