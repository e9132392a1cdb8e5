"""Files of networks do not depend on the process that writes them."""

from pathlib import Path

import numpy as np
import torch

from nas.data import DataSet
from nas.finalists.entry import Entry
from nas.front.exporting import Exports
from nas.scoring.beside import beside
from nas.scoring.scorer import Scorer
from nas.targets import ONNX
from supernets.supernet import Supernet


def test_exports_beside_each_other_are_those_of_one_process(
    random_supernet: Supernet, digits: DataSet, tmp_path: Path
) -> None:
    space = random_supernet.space
    scorer = Scorer(random_supernet, digits, 32)
    rows = space.sample(np.random.default_rng(0), 3).tolist()
    exports, jobs = Exports(scorer, (ONNX,)), []
    for place in ("beside", "here"):
        for number, encoding in enumerate(rows):
            folder = tmp_path / place / str(number)
            folder.mkdir(parents=True)
            jobs.append((Entry(space.candidate(encoding), "any"), folder, folder / "answers.json"))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert list(beside(scorer, exports, jobs[:3])) == [None] * 3
    finally:
        torch.set_num_threads(before)
    for job in jobs[3:]:
        assert exports(job) is None
    for number in range(3):
        folder = tmp_path / "here" / str(number)
        for path in folder.iterdir():
            other = tmp_path / "beside" / str(number) / path.name
            assert path.read_bytes() == other.read_bytes(), path.name
        assert {"model.onnx", "model.safetensors", "answers.json"} <= {
            path.name for path in folder.iterdir()
        }
