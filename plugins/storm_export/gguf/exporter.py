"""The component `gguf`: GGUF files of a checkpoint, for llama.cpp, Ollama and others."""

from __future__ import annotations

import dataclasses
import json

from storm_exp import Cost, InputError, SettingError, StageContext, component, setting
from storm_export.gguf.architecture import architecture
from storm_export.gguf.files import SUMMARY, GgufFiles, GgufSpec
from storm_export.gguf.formats import K_BLOCK, GgufType, k_widths
from storm_export.gguf.importance_matrix import ImportanceMatrix, ImportanceMatrixSpec
from storm_export.gguf.libllama import quantise
from storm_export.gguf.special import model_name
from storm_export.gguf.tensors import gguf_tensors
from storm_export.gguf.vocabulary import check_kind
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.architecture import axis_sizes, tensor_shapes
from storm_models.families.model_config import ModelConfig
from storm_models.folder.json_file import read_json
from storm_models.folder.tokenizer import FOLDERS

_TOKEN_BYTES = 35
"""What a token of the vocabulary takes in a file, with its type and its merge: about that."""


@component("exporter", "gguf", version=1, requires=("torch", "gguf"), extra="gguf")
class Gguf:
    """Writes a checkpoint as GGUF, one file per type: weights, tokenizer, chat template.

    Supports the families llama, mistral, qwen2, qwen3, gemma2, gemma3_text and phi3. A model that
    llama.cpp would compute differently from transformers is refused, with the reason.
    """

    swept = False

    types: list[GgufType] = setting([GgufType.q8_0])
    """Formats of the matrices: f32, f16, bf16, q8_0, q4_0; q4_k_m and the other K types need
    libllama and rows whose length is a multiple of 256. With an importance matrix, these and q4_0
    are rounded by it, q4_0 by libllama too."""

    def __post_init__(self) -> None:
        if not self.types or len(set(self.types)) < len(self.types):
            raise SettingError("types", self.types, "must list at least one type, each only once")

    def idle_ports(self) -> set[str]:
        """Return `importance` if none of the types is rounded by it."""
        return set() if any(type_.is_weighted for type_ in self.types) else {"importance"}

    def plan_spec(
        self, model: CheckpointSpec, importance: ImportanceMatrixSpec | None = None
    ) -> GgufSpec:
        """Return the types.

        Raises InputError for a model or tokenizer that llama.cpp lacks, and for the importance
        matrix of a model with other tensors.
        """
        measured = importance.shapes if importance else None
        if measured and model.shapes and measured != model.shapes:
            raise InputError("the importance matrix is of a model with other tensor shapes")
        if model.config is not None:
            architecture(model.config)
            self._check_widths(model.config)
        folder = FOLDERS.get(model.tokenizer or "")
        if folder is not None and folder.is_dir():  # it may have been moved since it was read
            if not (folder / "tokenizer.json").is_file():
                raise InputError(f"{folder}: GGUF's vocabulary needs a tokenizer.json")
            content = read_json(folder / "tokenizer.json")
            check_kind(content)
            model_name(content)
        return GgufSpec(types=[type_.value for type_ in self.types])

    def rehearsal(self) -> Gguf:
        """Return the component without K types: their blocks are wider than a twin's rows."""
        plain = [type_ for type_ in self.types if not type_.is_k]
        return dataclasses.replace(self, types=plain or [GgufType.q8_0])

    def cost(self, model: CheckpointSpec) -> Cost | None:
        """Return the disk space of the files, in which only the vocabulary's is estimated."""
        shapes = tensor_shapes(model.config) if model.config is not None else None
        if model.config is None or shapes is None:
            return None
        headers = {name: ("", shape) for name, shape in shapes.items()}
        tensors = gguf_tensors(model.config, headers)
        vocabulary = _TOKEN_BYTES * int(model.config["vocab_size"])
        disk = sum(tensor.size(type_) for type_ in self.types for tensor in tensors)
        return Cost(disk=disk + vocabulary * len(self.types), on_host=True)

    def _check_widths(self, config: ModelConfig) -> list[str]:
        """Return remarks on rows that do not fit K blocks; raises SettingError if most do not."""
        if not any(type_.is_k for type_ in self.types):
            return []
        sizes = axis_sizes(config)
        fit, odd = k_widths({name: sizes[name] for name in ("hidden", "queries", "inner")})
        if not fit:
            raise SettingError(
                "types",
                [type_.value for type_ in self.types],
                f"K types store blocks of {K_BLOCK} weights, and this model's rows are not "
                f"multiples of that ({', '.join(odd)}): use q8_0 or q4_0",
            )
        if not odd:
            return []
        return [f"rows that are not multiples of {K_BLOCK} are stored in other types ({odd})"]

    def run(
        self, stage: StageContext, model: Checkpoint, importance: ImportanceMatrix | None = None
    ) -> GgufFiles:
        """Stream the weights once per type; libllama's types are quantised from a plain file."""
        from storm_export.gguf.metadata import metadata
        from storm_export.gguf.writer import GgufContents, count_types, write_gguf

        described = architecture(model.config())
        keys, remarks = metadata(model, described)
        remarks += self._check_widths(model.config())
        tensors = gguf_tensors(model.config(), model.headers())
        contents = GgufContents(described.name, keys, described.factors, tensors)
        plain = _as_stored(model)
        weighted = {type_ for type_ in self.types if importance and type_.is_weighted}
        by_llama = [type_ for type_ in self.types if type_.is_k or type_ in weighted]
        ours = [type_ for type_ in self.types if type_ not in by_llama]
        for_llama = stage.scratch / plain.file_name()
        targets = {type_: stage.directory / type_.file_name() for type_ in ours}
        if by_llama and plain not in ours:
            targets[plain] = for_llama
        with (
            model.open_weights() as weights,
            stage.progress(len(tensors) * len(targets), "tensors") as bar,
        ):
            counts = {
                type_: write_gguf(file, contents, weights, type_, bar.advance)
                for type_, file in targets.items()
            }
        if by_llama:
            with stage.progress(len(by_llama), "types", "llama.cpp") as bar:
                for type_ in by_llama:
                    file = stage.directory / type_.file_name()
                    threads = stage.runtime.thread_count()
                    by = importance.file if importance and type_ in weighted else None
                    quantise(targets[plain], file, type_, threads, stage.check, by)
                    counts[type_] = count_types(file)
                    bar.advance()
            for_llama.unlink(missing_ok=True)
        files = [
            {
                "type": type_.value,
                "file": type_.file_name(),
                "bytes": (stage.directory / type_.file_name()).stat().st_size,
                "tensors": counts[type_],
                **({"importance_matrix": True} if type_ in weighted else {}),
            }
            for type_ in self.types
        ]
        for remark in remarks:
            stage.warn(remark)
        text = json.dumps({"files": files, "remarks": remarks}, indent=1) + "\n"
        (stage.directory / SUMMARY).write_text(text, encoding="utf-8")
        sizes = [file.stat().st_size for file in stage.directory.glob("*.gguf")]
        stage.metric("bytes", sum(sizes), main=True)
        return GgufFiles(stage.directory)


def _as_stored(model: Checkpoint) -> GgufType:
    """Return the type that stores most of a checkpoint's tensors without loss."""
    dtypes = [dtype for dtype, _ in model.headers().values()]
    most = max(set(dtypes), key=dtypes.count)
    return {"BF16": GgufType.bf16, "F16": GgufType.f16}.get(most, GgufType.f32)
