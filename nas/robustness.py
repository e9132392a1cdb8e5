"""`nas report RUN --robustness`: what networks of a run answer on images moved against them.

Kept as robustness.json of the run; see `nas/scoring/attack.py`.
"""

from collections.abc import Sequence
from typing import Any

from compress.store import load_network
from nas.front.checkpoints import checkpoints
from nas.prepare.reopen import Trained
from nas.scoring.attack import LARGEST, robustness
from nas.system.files import write_json
from nas.system.reporter import Reporter
from search_spaces import UserError, task_of

FILE = "robustness.json"
IMAGES = 500


def measure_robustness(
    trained: Trained, distances: Sequence[float], reporter: Reporter, *, num_images: int = IMAGES
) -> dict[str, Any]:
    """Attack every network of the front and the references, as deployed and before quantization.

    Args:
        trained: A finished run.
        distances: In 1/255 of the range of a pixel; images as they are come first in any case.
        reporter: Told how far it is.
        num_images: Of the search split.
    """
    asked = [0.0, *dict.fromkeys(distances)]
    reporter.phase("robustness", f"moving {num_images} images against every network")
    found = list(checkpoints(trained.run))
    rows = []
    with trained.run.phase("robustness"):
        for number, (key, files) in enumerate(found):
            reporter.advance(number, len(found), key)
            for file in files:
                result = robustness(load_network(file), trained.data, num_images, asked)
                rows.append(
                    {
                        "key": key,
                        "file": f"{file.stem}.onnx",
                        "shown": list(result.shown),
                        "without_gradient": result.without_gradient,
                    }
                )
    document = {
        "schema": 1,
        "metric": task_of(trained.data.task).shown.name,
        "images": min(num_images, len(trained.data.search)),
        "distances": asked,
        "rows": rows,
    }
    write_json(trained.run.path / FILE, document)
    return document


def check_distances(distances: Sequence[float]) -> tuple[float, ...]:
    """The distances, if they are such.

    Raises:
        UserError: If one is outside of the range of a pixel, or there are none.
    """
    if not distances or not all(0 < distance <= LARGEST for distance in distances):
        said = ",".join(f"{distance:g}" for distance in distances)
        raise UserError(
            f"epsilons '{said}' are not all above 0 and at most {LARGEST}: they are in "
            f"1/{LARGEST} of the range of a pixel. Write 1,2,4."
        )
    return tuple(distances)
