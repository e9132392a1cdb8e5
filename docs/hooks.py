"""What mkdocs is told beyond mkdocs.yml: every file of docs/decisions is a page, by its number."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Appends the decisions to the navigation."""
    files = sorted((Path(config.docs_dir) / "decisions").glob("[0-9]*.md"))
    assert config.nav is not None
    config.nav.append({"Decisions": [f"decisions/{file.name}" for file in files]})
    return config
