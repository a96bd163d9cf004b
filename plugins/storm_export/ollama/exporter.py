"""The component `ollama`: Modelfiles and GGUF files for `ollama create`."""

from __future__ import annotations

import json
from pathlib import Path

from storm_exp import Artifact, Cost, FileDigests, Spec, StageContext, component, setting
from storm_export.gguf.files import GgufFiles, GgufSpec
from storm_export.hard_link import hard_link
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec, check_template
from storm_models.folder.existing_path import existing_path


class OllamaFolder(Artifact):
    """Modelfiles and the GGUF files they refer to: `ollama create NAME -f Modelfile`."""

    shown_as = "Ollama"

    def modelfiles(self) -> list[Path]:
        """Return the Modelfiles, the one of the first type first."""
        return sorted(self.directory.glob("Modelfile*"), key=lambda file: len(file.name))


@component("exporter", "ollama", version=1)
class Ollama:
    """Writes a Modelfile for each GGUF file: chat template in Go, stop strings, parameters.

    The Go template is derived from chats that the model's template renders, and compared with it
    on twenty conversations; a template that cannot be translated is refused. Parameters are those
    of generation_config.json.
    """

    swept = False

    license: str = setting("", semantic=False)
    """File with the text of the licence for the Modelfile; empty for none."""

    def plan_spec(self, model: CheckpointSpec, gguf: GgufSpec) -> Spec:
        """Check that the model has a chat template and that the licence file exists."""
        check_template(model, "a Modelfile contains one")
        self._license()
        return Spec()

    def fingerprint(self, files: FileDigests) -> dict[str, str]:
        """Return the licence's digest."""
        if not self.license:
            return {}
        return {"license": files.digest(existing_path("license", self.license))}

    def cost(self) -> Cost:
        """Return no disk space: the files are linked."""
        return Cost(disk=0, on_host=True)

    def _license(self) -> str:
        if not self.license:
            return ""
        return existing_path("license", self.license).read_text(encoding="utf-8").strip()

    def run(self, stage: StageContext, model: Checkpoint, gguf: GgufFiles) -> OllamaFolder:
        """Write the Modelfiles, and link the GGUF files into the same folder."""
        from storm_export.ollama.modelfile import modelfile, parameters
        from storm_export.ollama.prompt import go_prompt
        from storm_models.folder.generation_config import read_generation_config

        template, stops, remarks = go_prompt(model)
        values = parameters(read_generation_config(model.directory) or {})
        for index, (type_, file) in enumerate(gguf.files().items()):
            hard_link(file, stage.directory / file.name)
            name = "Modelfile" if index == 0 else f"Modelfile-{type_.value.upper()}"
            text = modelfile(file.name, template, stops, values, self._license())
            (stage.directory / name).write_text(text, encoding="utf-8")
        remarks = [*gguf.remarks(), *remarks]
        for remark in remarks:
            stage.warn(remark)
        text = json.dumps({"stops": stops, "parameters": values, "remarks": remarks}, indent=1)
        (stage.directory / "ollama.json").write_text(text + "\n", encoding="utf-8")
        return OllamaFolder(stage.directory)
