"""What mkdocs is told beyond mkdocs.yml: every decision is a page, and operators have pages.

Decisions are the files of docs/decisions, by their numbers. Pages of operators are made of their
declarations (`nas/inspect/operator_pages.py`) and are no files.
"""

from functools import cache
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from nas.inspect.operator_pages import Page, operator_pages


@cache
def pages() -> tuple[Page, ...]:
    """Of operators."""
    return tuple(operator_pages())


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Appends operators and decisions to the navigation."""
    files = sorted((Path(config.docs_dir) / "decisions").glob("[0-9]*.md"))
    assert config.nav is not None
    config.nav.append({"Operators": [{page.title: page.file} for page in pages()]})
    config.nav.append({"Decisions": [f"decisions/{file.name}" for file in files]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of operators."""
    for page in pages():
        files.append(File.generated(config, page.file, content=page.text))
    return files
