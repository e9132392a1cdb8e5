"""How alike two networks see the same images, whatever their features are called and how many.

Shapes: B images, F and G features.
"""

from torch import Tensor

LEAST = 1e-12
"""Of the product of lengths by which is divided."""


def linear_cka(x_BF: Tensor, y_BG: Tensor) -> Tensor:
    """Centred kernel alignment with linear kernels: a scalar in [0, 1], with gradients.

    1 if one is the other after a rotation and a scaling; 0 if either is the same for all images.

    Args:
        x_BF: Features of images; what follows the first axis is flattened.
        y_BG: Others of the same images, of any number.

    Source: Kornblith et al., Similarity of Neural Network Representations Revisited (2019), section
    3, by the images' products, which are few.
    """
    first_BB, second_BB = _products(x_BF), _products(y_BG)
    lengths = first_BB.norm() * second_BB.norm()
    return (first_BB * second_BB).sum() / lengths.clamp_min(LEAST)


def _products(x_BF: Tensor) -> Tensor:
    """Of features of images, each of mean 0 over the images and all of length 1 together."""
    x_BF = x_BF.flatten(1).float()
    x_BF = x_BF - x_BF.mean(0)
    x_BF = x_BF / x_BF.norm().clamp_min(LEAST)
    return x_BF @ x_BF.T
