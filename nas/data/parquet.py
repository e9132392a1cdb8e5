"""Parquet files in the Hugging Face image layout: a column of encoded images, a column of labels.

- Images: structs of `bytes` and `path`, or plain binary; the column that the schema's "huggingface"
  metadata call Image, else the one called image or img, else the only such column.
- Labels: whole numbers or words; the column called label, labels or fine_label, else the one that
  the metadata call ClassLabel, else the only column of that type.
- Classes: the names of the ClassLabel; else the words, sorted; else the numbers from 0.
- Splits: "train", "validation" (or "val", "valid", "dev") and "test" in the names of the files or
  of their folders. Files without such a word are train if no file has one, else passed over.

Source: https://huggingface.co/docs/datasets/image_dataset
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nas.data._base import DATA, AbstractData, DataSet, MissingDataError, Request
from nas.data._decode import Content
from nas.data._files import LAYOUTS, OWN_PATH, TEST, TRAIN, VALIDATION, find_parquet, readable
from nas.data._labels import Labels, index_of
from nas.data._source import AbstractSource, Index, stamp
from nas.data._store import load_source
from search_spaces import UserError

IMAGE_NAMES = ("image", "img")
LABEL_NAMES = ("label", "labels", "fine_label")
ROWS_AT_ONCE = 64
BUFFER_BYTES = 1 << 20
MOST_SHOWN = 300


@final
@DATA.register
class Parquet(AbstractData):
    """One Parquet file, or a folder of them; missing splits are held out of train."""

    def load(self, request: Request) -> DataSet:
        """Find the files and decode their images."""
        path = request.data_dir
        if path is None:
            raise MissingDataError(
                "data 'parquet' needs a file or folder. Give its path: --data PATH. " + LAYOUTS
            )
        return load_source(ParquetSource(path), request, name=path.stem or "data")

    def where(self, data_dir: Path | None) -> str:
        """See `AbstractData.where`."""
        return OWN_PATH


@final
class ParquetSource(AbstractSource):
    """The rows of Parquet files."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files, self._note = _split_files(path)

    @property
    def path(self) -> Path:
        """The file or folder."""
        return self._path

    def stamps(self) -> Iterator[str]:
        """One line per file."""
        for split, files in self._files.items():
            yield from (f"{split}\0{stamp(str(file), self._path)}" for file in files)

    def index(self) -> Index:
        """All labels; images are not read."""
        found: dict[str, list[tuple[str, Labels]]] = {}
        names: list[list[str] | None] = []
        for split, files in self._files.items():
            found[split] = []
            for file in files:
                with readable(file), pq.ParquetFile(file) as parquet:
                    features = _features(parquet)
                    label = _label_column(parquet.schema_arrow, features, file)
                    found[split].append((str(file), _labels(parquet, label, file)))
                    names.append(_class_names(features.get(label, {})))
                if names[-1] != names[0]:
                    raise UserError(
                        f"data file '{file}' has other class names than '{self._first}'. "
                        "Use files of one data set."
                    )
        return index_of(found, names[0], self._note)

    def images(self) -> Iterator[tuple[str, Content]]:
        """Encoded images, a few rows in memory at a time."""
        for file in (file for files in self._files.values() for file in files):
            with (
                readable(file),
                pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER_BYTES) as parquet,
            ):
                column = _image_column(parquet.schema_arrow, _features(parquet), file)
                is_struct = pa.types.is_struct(parquet.schema_arrow.field(column).type)
                row = 0
                for batch in parquet.iter_batches(
                    ROWS_AT_ONCE, columns=[f"{column}.bytes" if is_struct else column]
                ):
                    cells = batch.column(0).field("bytes") if is_struct else batch.column(0)
                    for content in cells.to_pylist():
                        if content is None:
                            raise UserError(
                                f"data file '{file}', row {row}: there are no bytes of an image. "
                                "Save the images inside the file, not their paths."
                            )
                        yield f"{file}, row {row}", content
                        row += 1
                if row != parquet.metadata.num_rows:
                    raise ValueError(f"{row} of {parquet.metadata.num_rows} rows are there")

    @property
    def _first(self) -> Path:
        return self._files[TRAIN][0]


def _split_files(path: Path) -> tuple[dict[str, list[Path]], str]:
    """The files of each split, train first, and a note about others."""
    if not path.is_dir():
        return {TRAIN: [path]}, ""
    found = find_parquet(path)
    if not found:
        raise UserError(f"data '{path}' has no Parquet files. {LAYOUTS}")
    if all(split is None for split, _ in found):
        return {TRAIN: [file for _, file in found]}, ""
    files: dict[str, list[Path]] = {}
    for split in (TRAIN, VALIDATION, TEST):
        of_split = [file for word, file in found if word == split]
        if of_split:
            files[split] = of_split
    if TRAIN not in files:
        names = ", ".join(file.name for _, file in found[:3])
        raise UserError(
            f"data '{path}' has no file for train, only {names}. Add one named train-*.parquet, "
            "or name one file as the data."
        )
    others = [file.name for split, file in found if split is None]
    return files, f"passed over: {', '.join(others)}" if others else ""


def _features(parquet: pq.ParquetFile) -> dict[str, Any]:
    """What the Hugging Face library wrote about the columns; empty if it did not write the file."""
    metadata = parquet.schema_arrow.metadata or {}
    document = json.loads(metadata.get(b"huggingface", b"{}"))
    features = document.get("info", {}).get("features", {})
    return {name: of for name, of in features.items() if isinstance(of, dict)}


def _class_names(feature: dict[str, Any]) -> list[str] | None:
    return [str(name) for name in feature["names"]] if "names" in feature else None


def _image_column(schema: pa.Schema, features: dict[str, Any], file: Path) -> str:
    declared = [name for name, of in features.items() if of.get("_type") == "Image"]
    fitting = [field.name for field in schema if _may_be_image(field.type)]
    return _column(
        declared, fitting, IMAGE_NAMES, schema, "images (bytes, or structs with bytes)", file
    )


def _label_column(schema: pa.Schema, features: dict[str, Any], file: Path) -> str:
    declared = [name for name, of in features.items() if of.get("_type") == "ClassLabel"]
    fitting = [field.name for field in schema if _may_be_label(field.type)]
    return _column(declared, fitting, LABEL_NAMES, schema, "labels (whole numbers or words)", file)


def _column(
    declared: list[str],
    fitting: list[str],
    usual: tuple[str, ...],
    schema: pa.Schema,
    what: str,
    file: Path,
) -> str:
    """The declared column, else the one of a usual name, else the only one that fits."""
    declared = [name for name in declared if name in schema.names]
    for names in (declared, fitting):
        chosen = names if len(names) == 1 else [name for name in usual if name in names][:1]
        if chosen:
            return chosen[0]
    named = next((name for name in usual if name in schema.names), None)
    if named is not None:
        raise UserError(
            f"data file '{file}': column '{named}' is {schema.field(named).type}, not {what}. "
            "Convert it, or give another column its name."
        )
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    raise UserError(
        f"data file '{file}': no column, or more than one, may be the {what}. Columns: "
        f"{columns[:MOST_SHOWN] or 'none'}. Call it '{usual[0]}'."
    )


def _labels(parquet: pq.ParquetFile, column: str, file: Path) -> Labels:
    values = parquet.read(columns=[column]).column(0).combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks)
    if not len(values):
        raise UserError(f"data file '{file}' has no rows. Replace it, or delete it.")
    if len(values) != parquet.metadata.num_rows:
        raise ValueError(f"{len(values)} of {parquet.metadata.num_rows} labels are there")
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.null_count:
        row = values.is_null().to_pylist().index(True)
        raise UserError(
            f"data file '{file}', row {row}: column '{column}' has no label. Leave such rows out."
        )
    if _is_word(values.type):
        return np.asarray(values.to_pylist())
    numbers: Labels = values.to_numpy(zero_copy_only=False)
    return numbers


def _may_be_image(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _may_be_label(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_integer(kind) or _is_word(kind)


def _is_word(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
