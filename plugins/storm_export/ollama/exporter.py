"""The component `ollama`: GGUF files with Modelfiles, ready for `ollama create`."""

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
    """Modelfiles and the GGUF files that they name: `ollama create NAME -f Modelfile`."""

    shown_as = "Ollama"

    def modelfiles(self) -> list[Path]:
        """Return the Modelfiles, that of the first type before the others."""
        return sorted(self.directory.glob("Modelfile*"), key=lambda file: len(file.name))


@component("exporter", "ollama", version=1)
class Ollama:
    """Writes a Modelfile for every GGUF file: chat template in Go's form, stops, parameters.

    The template's form follows from what it renders, and is tried on twenty conversations; a
    template that has none is refused. Parameters are those of generation_config.json.
    """

    license: str = setting("", semantic=False)
    """A file with the licence, which goes into the Modelfile; empty for none."""

    def plan_spec(self, model: CheckpointSpec, gguf: GgufSpec) -> Spec:
        """Check that there is a chat template and, if it was named, a licence."""
        check_template(model, "Ollama shows a model chats")
        self._license()
        return Spec()

    def fingerprint(self, files: FileDigests) -> dict[str, str]:
        """Return the licence's digest."""
        if not self.license:
            return {}
        return {"license": files.digest(existing_path("license", self.license))}

    def cost(self) -> Cost:
        """Say that it takes no room: the files are linked."""
        return Cost(disk=0, on_host=True)

    def _license(self) -> str:
        if not self.license:
            return ""
        return existing_path("license", self.license).read_text(encoding="utf-8").strip()

    def run(self, stage: StageContext, model: Checkpoint, gguf: GgufFiles) -> OllamaFolder:
        """Write the Modelfiles, and link the GGUF files beside them."""
        from storm_export.ollama.modelfile import modelfile, parameters
        from storm_export.ollama.prompt import prompt_form
        from storm_models.folder.generation_config import read_generation_config

        template, stops, remarks = prompt_form(model)
        drawn = parameters(read_generation_config(model.directory) or {})
        for at, (type_, file) in enumerate(gguf.files().items()):
            hard_link(file, stage.directory / file.name)
            name = "Modelfile" if at == 0 else f"Modelfile-{type_.value.upper()}"
            text = modelfile(file.name, template, stops, drawn, self._license())
            (stage.directory / name).write_text(text, encoding="utf-8")
        remarks = [*gguf.remarks(), *remarks]
        for remark in remarks:
            stage.say(remark)
        text = json.dumps({"stops": stops, "parameters": drawn, "remarks": remarks}, indent=1)
        (stage.directory / "ollama.json").write_text(text + "\n", encoding="utf-8")
        return OllamaFolder(stage.directory)
