"""Ranks on a real cluster of two nodes: what they learn, and what happens when a node dies."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from nas.cli import app as cli
from nas.cli import codes
from nas.executors import _ray_ranks
from nas.executors._cluster import connected, imported
from nas.executors._ray_ranks import Place, _refuse_twice
from nas.executors.ray import Ray
from nas.run.directory import WEIGHTS
from nas.run.trained_by import trained_by
from nas.testing.methods import small_images
from search_spaces import UserError
from supernets._group import RankDiedError, num_ranks
from supernets.checkpoint import read_tensors
from supernets.methods.sortednet import SortedNet
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import CHECKPOINT_FILE, Progress, train
from tests.strategies import mini_space

STORE_BYTES = 100 << 20
NODE = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
PLAN = TrainPlan(steps=12, batch_size=4, shards=3, rank_at=1.0, checkpoint_s=0.0, optimizer="sgd")


LONG = replace(PLAN, steps=300, shards=4)
"""Enough steps to hear of a node that is gone, of which each rank has a part."""


def trained(
    folder: Path, *, processes: int, plan: TrainPlan = PLAN, at_step: Any = None
) -> Supernet:
    space = mini_space(operators=("mbconv",)).with_policy(("fp32",), (0.0,))
    supernet, batches = Supernet(space), SupernetBatches(plan, SortedNet(space=space))

    def on_step(numbers: Progress) -> None:
        if at_step is not None:
            at_step(numbers["step"])

    train(
        supernet, small_images(), plan, batches, directory=folder, processes=processes, threads=1,
        on_step=on_step,
    )  # fmt: skip
    return supernet


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head, and another node."""
    imported()
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    found.add_node(**NODE)
    with connected(found.address):
        yield found
    found.shutdown()


@pytest.mark.long
def test_ranks_of_nodes_learn_what_one_process_learns(cluster: Any, tmp_path: Path) -> None:
    executor = Ray(ray_address=cluster.address)
    assert executor.num_devices("cpu") == 3
    folders = [tmp_path / name for name in ("alone", "ranks")]
    for folder in folders:
        folder.mkdir()
    expected = trained(folders[0], processes=1).state_dict()
    with executor.ranks(3, "cpu"):
        assert num_ranks() == 3
        found = trained(folders[1], processes=3).state_dict()
    assert not dist.is_initialized()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=1e-5)


@pytest.mark.long
def test_a_node_that_dies_is_one_message_and_the_checkpoint_is_whole(
    cluster: Any, tmp_path: Path
) -> None:
    lost = cluster.add_node(**NODE)

    def lose(step: float) -> None:
        if step == 4:
            cluster.remove_node(lost, allow_graceful=False)

    executor = Ray(ray_address=cluster.address)
    with pytest.raises(RankDiedError), executor.ranks(4, "cpu"):
        trained(tmp_path, processes=4, plan=LONG, at_step=lose)
    assert read_tensors(tmp_path / CHECKPOINT_FILE)[1]["step"] >= 4


@pytest.mark.long
def test_more_ranks_than_there_is_room_for_are_refused(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ray_ranks, "PLACED_WITHIN_S", 5.0)
    executor = Ray(ray_address=cluster.address)
    with (
        pytest.raises(UserError, match="had no place for 1 more processes"),
        executor.ranks(2, "xpu:0"),
    ):
        pytest.fail("no node has an accelerator")


@pytest.mark.long
def test_the_command_trains_on_nodes(
    cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        *("train", "--space", "toy", "--data", "digits", "--resolution", "16", "--time", "10s"),
        *("--set", "steps=20", "--set", "batch_size=16", "--set", "max_macs=0"),
        *("--set", "precision=fp32", "--threads", "1"),
    ]
    on_ray = ["--executor", "ray", "--ray-address", cluster.address]
    with pytest.raises(SystemExit) as ended:
        cli.main([*asked, *on_ray, "--devices", "9", "--set", "shards=9", "--out", "none"])
    assert ended.value.code == codes.WRONG_USE
    assert "devices is 9, and the Ray cluster, with this process, has" in capsys.readouterr().err
    for name, more in (("one", []), ("two", [*on_ray, "--devices", "2"])):
        with pytest.raises(SystemExit) as ended:
            cli.main([*asked, *more, "--out", str(tmp_path / name)])
        assert ended.value.code == codes.OK
    expected = read_tensors(tmp_path / "one" / WEIGHTS)[0]
    for name, tensor in read_tensors(tmp_path / "two" / WEIGHTS)[0].items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-5, rtol=1e-5)
    assert trained_by(tmp_path / "two").startswith("cpu, 2 processes")


def test_an_accelerator_is_not_used_twice() -> None:
    own, other = Place("a", ("0",)), Place("a", ("1",))
    _refuse_twice(own, [other, Place("b", ("0",))], "cuda:0")
    _refuse_twice(Place("a", ("0",)), [Place("a", ())], "cpu")
    with pytest.raises(UserError, match="Ray has given another process cuda:0"):
        _refuse_twice(own, [other, Place("a", ("0",))], "cuda:0")
