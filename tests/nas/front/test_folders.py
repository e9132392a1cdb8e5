"""Files of finalists: what is finished, and what is kept."""

from pathlib import Path

import pytest

from nas.front.facts import parity
from nas.front.folders import CARD, is_finished


def test_a_folder_without_a_card_is_not_finished_and_keeps_its_files(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    assert not is_finished(tmp_path)
    assert (tmp_path / "model.onnx").exists()


def test_a_broken_card_is_an_error_and_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / CARD).write_text("{}")
    with pytest.raises(ValueError, match="is not a card"):
        is_finished(tmp_path)
    assert (tmp_path / CARD).read_text() == "{}"


def test_parity_is_the_share_of_images_with_the_same_answer() -> None:
    assert parity([1, 2, 3, 4], [1, 2, 0, 4, 9, 9]) == {"same_answer": 0.75, "images": 4}
