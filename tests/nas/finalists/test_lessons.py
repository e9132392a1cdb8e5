"""What a network that is trained further learns from: recipes, teachers, answers, folders."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from nas import finetune as finetuning
from nas.finalists.answers import FOLDER, OF
from nas.finalists.finetuning import make_finetuning
from nas.finalists.lessons import SETTINGS
from nas.finalists.recipe import Recipe
from nas.finalists.teacher import AND
from nas.finalists.train import recipe_of
from nas.finetune import with_teacher
from nas.front.card import read_card
from nas.prepare.reopen import Trained, reopened
from nas.prepare.settings import check_settings
from nas.run.directory import read_front
from nas.standalone.train import NETWORK
from nas.system.reporter import Silent
from nas.system.typed import settings_among
from search_spaces import Candidate, UserError
from supernets.checkpoint import read_tensors
from supernets.teachers import EnsembleTeacher
from supernets.teachers.regions import RegionTeacher
from supernets.teachers.stored import StoredTeacher
from tests.commands import exit_code as cli_code
from tests.conftest import TOY

TAUGHT = Recipe(epochs=0.3, teacher="largest", labels_share=0.0, weight_decay=0.0)


class Noting:
    """Keeps what the user is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def phase(self, name: str, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, done: int, of: int, text: str = "") -> None:
        pass


@pytest.fixture
def trained(own_run: Path) -> Trained:
    return reopened(own_run, Silent())


@pytest.fixture
def candidate(trained: Trained) -> Candidate:
    key = next(iter(read_front(trained.run.path)["members"])).partition("-")[0]
    return finetuning.named(trained, key)


def test_answers_of_several_teachers_are_stored_once(
    trained: Trained, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = next(trained.run.path.glob("front/*/model.onnx"))
    names = AND.join(["largest", str(file.parent)])
    recipe = with_teacher(replace(TAUGHT, teacher=names, stored="variants", variants=2))
    assert recipe.teacher == AND.join(["largest", str(file.resolve())])
    assert recipe.teacher_sha256
    told = Noting()
    made = make_finetuning(trained, recipe, told)
    teacher = made.teaching.teacher
    assert isinstance(teacher, StoredTeacher)
    assert made.teaching.share == 1.0
    assert teacher.variants == 2
    (folder,) = (trained.run.path / FOLDER).iterdir()
    sizes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    assert [f"{sizes:,} bytes" in note for note in told.notes if "answers" in note] == [True]
    assert (folder / OF).exists()
    entry = made(candidate)
    assert entry.finetuned is not None
    assert entry.finetuned.facts["teacher"] == recipe.teacher
    monkeypatch.setattr("nas.finalists.answers.answers_to", None)
    again = make_finetuning(trained, recipe, Silent()).teaching.teacher
    assert isinstance(again, StoredTeacher)
    assert torch.equal(again.values_GSk, teacher.values_GSk)


def test_other_images_get_other_answers(trained: Trained) -> None:
    recipe = replace(TAUGHT, stored="variants", variants=1)
    make_finetuning(trained, recipe, Silent())
    labels_N = trained.data.train.labels_N.copy()
    labels_N[0] = (labels_N[0] + 1) % 10
    other = replace(trained.data, train=replace(trained.data.train, labels_N=labels_N))
    make_finetuning(replace(trained, data=other), recipe, Silent())
    assert len(list((trained.run.path / FOLDER).iterdir())) == 2


def test_no_more_probabilities_are_stored_than_there_are(trained: Trained) -> None:
    with pytest.raises(UserError, match="top is 11. It must be at least 1 and at most 10"):
        make_finetuning(trained, replace(TAUGHT, stored="variants", top=11), Silent())


def test_regions_are_of_one_network_and_of_shifted_images(trained: Trained) -> None:
    recipe = replace(TAUGHT, stored="regions")
    teacher = make_finetuning(trained, recipe, Silent()).teaching.teacher
    assert isinstance(teacher, RegionTeacher)
    assert len(teacher.maps_NKhw) == len(trained.data.train.labels_N)
    file = str(next(trained.run.path.glob("front/*/model.onnx")))
    with pytest.raises(UserError, match="has no maps that could be stored"):
        make_finetuning(trained, replace(recipe, teacher=file), Silent())
    varied = replace(trained, train_plan=replace(trained.train_plan, augment="cutmix"))
    with pytest.raises(UserError, match="augment is 'cutmix'"):
        make_finetuning(varied, recipe, Silent())


def test_without_labels_images_that_a_network_is_judged_on_are_left_out(
    trained: Trained, tmp_path: Path
) -> None:
    folder, data = tmp_path / "images", trained.data
    folder.mkdir()
    for number, image_CHW in enumerate(data.search.images_NCHW[:3]):
        Image.fromarray(image_CHW[0]).save(folder / f"search{number}.png")
    Image.new("L", data.sides[::-1], 99).save(folder / "new.png")
    told = Noting()
    made = make_finetuning(trained, replace(TAUGHT, unlabelled=str(folder)), told)
    assert len(made.images.labels_N) == len(data.train.labels_N) + 1
    assert any("1 images without labels" in note and "3 more" in note for note in told.notes)


def test_images_that_are_labels_themselves_are_not_unlabelled(
    trained: Trained, tmp_path: Path
) -> None:
    larger = replace(trained, data=replace(trained.data, task="super-resolution"))
    with pytest.raises(UserError, match="are images, and there is no training without them"):
        make_finetuning(larger, replace(TAUGHT, unlabelled=str(tmp_path)), Silent())


def test_low_rank_updates_end_as_weights_of_the_network(
    trained: Trained, candidate: Candidate
) -> None:
    recipe = replace(TAUGHT, batch_norm="frozen", low_rank=1, affinity=1.0)
    entry = make_finetuning(trained, recipe, Silent())(candidate)
    assert entry.finetuned is not None
    tensors, _ = read_tensors(entry.finetuned.weights)
    slots = trained.problem.space.slots(candidate.encoding)
    assert tensors.keys() == trained.scorer.extracted(slots).state_dict().keys()
    assert entry.finetuned.weights.name == NETWORK


def test_dead_units_are_made_linear_before_the_training(
    trained: Trained, candidate: Candidate
) -> None:
    entry = make_finetuning(trained, Recipe(epochs=0.1, activate=0.2), Silent())(candidate)
    assert entry.finetuned is not None
    assert entry.finetuned.facts["activate"] == 0.2
    found = recipe_of(replace(TOY, set={**TOY.set, "finalist_activate": 0.1}))
    assert found == Recipe(activate=0.1)


def test_all_that_teaches_may_do_so_together(trained: Trained, candidate: Candidate) -> None:
    weights = dict.fromkeys(("discriminator", "image_level", "region_level", "pixel_level"), 0.1)
    entry = make_finetuning(trained, replace(TAUGHT, affinity=0.1, **weights), Silent())(candidate)
    assert entry.finetuned is not None


def test_the_mean_of_several_teachers_may_teach_now(trained: Trained) -> None:
    file = str(next(trained.run.path.glob("front/*/model.onnx")))
    recipe = replace(TAUGHT, teacher=AND.join(["largest", file]))
    assert isinstance(make_finetuning(trained, recipe, Silent()).teaching.teacher, EnsembleTeacher)
    with pytest.raises(UserError, match="'none' is named beside others"):
        make_finetuning(trained, replace(recipe, teacher=AND.join(["none", file])), Silent())
    with pytest.raises(UserError, match="affinity compares maps with those of one network"):
        make_finetuning(trained, replace(recipe, affinity=1.0), Silent())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels_share": 0.0}, "there is no teacher"),
        ({"stored": "variants"}, "there is no teacher"),
        ({"affinity": 1.0}, "there is no teacher"),
        ({"stored": "always", "teacher": "largest"}, "'variants' or 'regions'"),
        ({"unlabelled": "a", "teacher": "largest"}, "Add --set labels_share=0"),
        ({"low_rank": 2}, "Add --batch-norm frozen"),
        ({"top": 5, "teacher": "largest"}, "Add --set stored=variants"),
        ({"discriminator": 1.0}, "there is no teacher"),
        ({"pixel_level": 1.0, "aware_share": 0.5, "teacher": "largest"}, "read the weights"),
        ({"weight_decay": -1.0}, "weight_decay is -1"),
        ({"variants": 0}, "variants is 0"),
        ({"activate": 1.5}, "activate is 1.5"),
    ],
)
def test_recipes_that_mean_nothing_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Recipe(**fields)


def test_further_settings_are_checked() -> None:
    assert settings_among(SETTINGS, ["weight_decay=0", "stored=regions", "top=5"]) == {
        "weight_decay": 0.0,
        "stored": "regions",
        "top": 5,
    }
    with pytest.raises(UserError, match="unknown setting 'variant'.*Did you mean 'variants'"):
        settings_among(SETTINGS, ["variant=3"])
    with pytest.raises(UserError, match="setting 'top' is 0.5. It must be a whole number"):
        settings_among(SETTINGS, ["top=0.5"])


def test_finalists_learn_from_whom_a_setting_names() -> None:
    assert recipe_of(TOY) == Recipe()
    assert recipe_of(replace(TOY, model="m.py:make")) == Recipe(teacher="brought")
    taught = {"finalist_teacher": "largest", "finalist_labels_share": 0.0}
    found = recipe_of(replace(TOY, set={**TOY.set, **taught}))
    assert found == Recipe(teacher="largest", labels_share=0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"finalist_teacher": "brought"}, "given no network"),
        ({"finalist_labels_share": 0.0}, "Add --set finalist_teacher=largest"),
        ({"finalist_teacher": "me"}, "Known: none, largest, brought"),
    ],
)
def test_a_teacher_that_finalists_cannot_have_is_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check_settings(replace(TOY, set={**TOY.set, **settings}))


@pytest.mark.usefixtures("two_timing_processes")
def test_the_command_trains_by_what_several_teachers_have_said(
    own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (8, 8), 99).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    key = next(iter(read_front(own_run)["members"])).partition("-")[0]
    teachers = ["--teacher", "largest", "--teacher", str(own_run / "front" / key)]
    if not (own_run / "front" / key).exists():
        teachers[-1] = str(next(own_run.glob("front/*/model.onnx")))
    arguments = ["finetune", str(own_run), "--key", key, "--epochs", "0.3", *teachers]
    assert cli_code(*arguments, "--set", "store=variants") == 2
    assert "Did you mean 'stored'" in capsys.readouterr().err
    settings = ("labels_share=0", "weight_decay=0", "stored=variants", "variants=1", "top=3")
    found = [part for setting in settings for part in ("--set", setting)]
    found += ["--unlabelled", str(tmp_path)]
    assert cli_code(*arguments, *found, "--skip-corrupt", "--json") == 0
    told = capsys.readouterr()
    tuned = json.loads(told.out.splitlines()[-1])["key"]
    card = read_card(next(own_run.glob(f"*/{tuned}/card.json")))
    assert card["finetuned"]["stored"] == "variants"
    assert "bytes in" in told.err
