"""Masks and positions that a network makes for itself are constants."""

import pytest
import torch
from torch import Tensor, nn

from compress.bring.bring import bring, give_weights, space_of
from search_spaces import UserError
from supernets.supernet import Supernet

WIDTH, HEADS, TOKENS = 16, 4, 9


class Masked(nn.Module):
    """One attention, with a mask that is made on the way, as large as the batch."""

    def __init__(self, sees: str) -> None:
        super().__init__()
        self.sees = sees
        self.stem = nn.Conv2d(1, WIDTH, 4, 4)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.head = nn.Linear(WIDTH, 5)

    def mask(self, batch: int) -> Tensor:
        places = torch.arange(TOKENS, device="cpu")
        kept = places[None] <= places[:, None] if self.sees == "past" else places[None] >= 0
        if self.sees == "number":
            kept = kept & (torch.arange(batch) % 2 == 0)[:, None, None]
        return kept.expand(batch, TOKENS, TOKENS)[:, None]

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.stem(x).flatten(2).transpose(1, 2)
        batch = x.shape[0]
        q, k, v = self.qkv(tokens).reshape(batch, TOKENS, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, self.mask(batch))
        return self.head(mixed.transpose(1, 2).reshape(batch, TOKENS, WIDTH).mean(1))


@pytest.mark.parametrize(("sees", "uses"), [("past", "softmax"), ("all", "attention")])
@torch.no_grad()
def test_attention_with_a_constant_mask_is_pruned_like_any(sees: str, uses: str) -> None:
    network, images = Masked(sees).eval(), torch.rand(3, 1, 12, 12)
    found = bring("masked", network, channels=1, resolution=12)
    assert not found.left_alone
    assert uses in "".join(part.fragment for part in found.network.parts)
    space = space_of(found)
    shared = Supernet(space).eval()
    give_weights(shared, found)
    actual = shared(images, space.slots(space.canonical([0] * len(space.choices))))
    torch.testing.assert_close(actual, network(images), rtol=0, atol=1e-5)


def test_what_depends_on_the_number_of_the_image_is_refused() -> None:
    with pytest.raises(UserError, match="differs from image to image"):
        bring("masked", Masked("number").eval(), channels=1, resolution=12)
