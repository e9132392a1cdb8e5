"""An image classifier of Hugging Face's transformers, smaller and faster.

    nas compress examples/hf_classifier.py:classifier --data FOLDER --max-drop 1% --time 30m

The function returns the model as the library has it: of its answer, `logits` are taken. The size of
images is read from its `config`, mean and std from its image processor, which is put beside it.
Its outputs must be the classes of the folder, in the order of their names.
"""

from typing import Any

NAME = "facebook/deit-tiny-patch16-224"
"""On the hub, or a folder in which `save_pretrained` wrote a model and its processor."""


def classifier() -> Any:
    """The trained model of that name."""
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model = AutoModelForImageClassification.from_pretrained(NAME)
    model.processor = AutoImageProcessor.from_pretrained(NAME)
    return model


def untrained() -> Any:
    """A small ViT for 10 classes of grey images of 32 px, to try the command without a download."""
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(
        ViTConfig(
            image_size=32,
            patch_size=8,
            num_channels=1,
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=128,
            num_labels=10,
        )
    )
