"""`python -m nas.agent`: the command `nas agent` where only onnxruntime and numpy are installed."""

import argparse
import sys
from pathlib import Path

from nas.agent.serve import Settings, serve
from search_spaces import UserError

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130


def main() -> int:
    """Serves until interrupted; the exit code."""
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m nas.agent", description="Time files that another machine sends."
    )
    parser.add_argument("--host", default=defaults.host, help=f"[{defaults.host}]")
    parser.add_argument("--port", type=int, default=defaults.port, help=f"[{defaults.port}]")
    parser.add_argument("--folder", type=Path, default=defaults.folder)
    parser.add_argument("--storage-gb", type=float, default=defaults.storage_gb)
    parser.add_argument("--token-file", type=Path)
    try:
        serve(Settings(**vars(parser.parse_args())), _say)
    except UserError as error:
        print(f"nas: {error}", file=sys.stderr)
        return WRONG_USE
    except OSError as error:
        where = f" '{error.filename}'" if error.filename else ""
        print(f"nas: cannot read or write{where}: {error.strerror}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
