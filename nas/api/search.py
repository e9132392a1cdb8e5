"""`nas.search`: the command `nas search` as a function."""

import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.api.arrays import Data, arrays_in, kept
from nas.api.run_view import RunView
from nas.api.spaces import Space, space_name
from nas.prepare.names import refuse_unknown
from nas.prepare.reuse import with_inherited
from nas.run.config import Config, make_config
from nas.run.config_file import checked_setting
from nas.system.cores import share_the_cores
from nas.system.reporter import Reporter, Silent
from reports import build_report
from search_spaces import UserError

_TURN = threading.RLock()


def search(
    *,
    space: Space | None = None,
    data: Data | None = None,
    budget: str | Sequence[str] | None = None,
    time: str | None = None,
    out: str | Path | None = None,
    progress: bool | Reporter | None = True,
    **settings: Any,
) -> RunView:
    """Run or continue a search, with the names, defaults and checks of `nas search`.

    The same call continues an interrupted run. A process searches one after the other: a call from
    another thread waits, because two at a time would measure each other.

    Args:
        space: A name, the path of a Python file, or a subclass of `AbstractSpace` that stands in
            one. ["hybrid"]
        data: A name, a path, a pair of arrays (images, labels), or a data set in torch's sense,
            whose items are pairs of an image and a label. Images are uint8 and of one shape: (H,
            W), (H, W, C) or (C, H, W). The run keeps arrays as data.npz. ["digit-pairs"]
        budget: A limit or several, such as "20MFLOPs" or ["20MFLOPs", "0.5ms"].
        time: For all phases together. ["5m"]
        out: Run directory. [runs/SPACE-DATA-HASH]
        progress: Whether to draw bars, or print lines where they cannot be drawn; or an object that
            is told.
        **settings: Any other field of `nas.run.config.Config`, such as `trials=20` or
            `set={"learning_rate": 0.002}`.

    Returns:
        The run, with its report.

    Raises:
        UserError: If what was asked cannot be done; nothing recorded is lost.
        OSError: If a disk is full or read-only; the same call continues.
        KeyboardInterrupt: On Ctrl-C; the same call continues.
    """
    arrays = None if data is None else arrays_in(data)
    settings |= {
        "space": None if space is None else space_name(space),
        "data": data if arrays is None else arrays.name,
        "budget": budget,
        "time": time,
    }
    place = None if out is None else Path(out)
    config = _config(settings, place)
    if arrays is None:
        refuse_unknown(config)
    place = place or config.default_out()
    none: AbstractContextManager[Path | None] = nullcontext()
    with _one_at_a_time(), none if arrays is None else kept(arrays, place) as file:
        if file is not None:
            config = replace(config, data=str(file))
        with _shown(progress) as reporter:
            _search(config, place, reporter)
    return RunView(place)


def _config(settings: Mapping[str, Any], out: Path | None) -> Config:
    """The configuration; what is None is not given."""
    given = {
        name: checked_setting(name, _as_in_toml(value), "nas.search")
        for name, value in settings.items()
        if value is not None
    }
    return make_config(with_inherited(given, out))


def _as_in_toml(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [_as_in_toml(v) for v in value] if isinstance(value, tuple | list) else value


def _search(config: Config, out: Path, reporter: Reporter) -> None:
    from nas.search_flow import search as run_search  # which imports torch

    try:
        run_search(config, out, reporter)
        reporter.phase("report", "writing the report")
        build_report(out)
    except (UserError, OSError, KeyboardInterrupt) as error:
        _let_go(error)
        raise


def _let_go(error: BaseException | None) -> None:
    """Empties the frames of an error: notebooks keep the last one, and so the run's lock."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """No other search of this process meanwhile; torch's threads and random draws are as before."""
    share_the_cores()
    import torch

    with _TURN, torch.random.fork_rng(devices=()):
        before = torch.get_num_threads()
        try:
            yield
        finally:
            torch.set_num_threads(before)


@contextmanager
def _shown(progress: bool | Reporter | None) -> Iterator[Reporter]:
    if progress is not None and not isinstance(progress, bool):
        yield progress
    elif not progress:
        yield Silent()
    else:
        from rich.console import Console

        from nas.system.progress import display

        drawn = display(Console())
        try:
            yield drawn
        finally:
            drawn.close()
