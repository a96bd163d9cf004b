"""The component `snr`: the scan of a model's matrices that Spectrum selects by."""

from __future__ import annotations

from storm_exp import Cost, InputError, StageContext, component
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec, shapes_digest
from storm_models.families.architecture import tensor_shapes
from storm_models.families.support import Use, check_family
from storm_training.trainable.layer_table import LayerRow, LayerTable, LayerTableSpec
from storm_training.trainable.matrices import find_matrices

_PROCESS = 0.2 * 2**30
"""Bytes of a process that has imported torch and nothing else."""


@component("scanner", "snr", version=1)
class SnrScanner:
    """Signal-to-noise ratio of every attention and MLP matrix of a model (Spectrum).

    Reads one matrix at a time from the files; singular values are computed in fp64.
    """

    def plan_spec(self, model: CheckpointSpec) -> LayerTableSpec:
        """Return the number of matrices; raises InputError for a model without known names."""
        check_family(model.config, Use.SCAN)
        shapes = tensor_shapes(model.config) if model.config is not None else None
        modules = None if shapes is None else len(find_matrices(shapes))
        if modules == 0:
            raise InputError("the model has no attention or MLP matrix by a known name")
        return LayerTableSpec(shapes=model.shapes, modules=modules)

    def cost(self, model: CheckpointSpec) -> Cost | None:
        """Return the cost of the Gram matrices and their eigenvalues, one matrix at a time."""
        shapes = tensor_shapes(model.config) if model.config is not None else None
        if not shapes:
            return None
        sizes = [sorted(shapes[matrix.name]) for matrix in find_matrices(shapes)]
        flops = sum(2.0 * small * small * large + 4 / 3 * small**3 for small, large in sizes)
        largest = max(small * large for small, large in sizes)
        return Cost(flops=flops, memory=_PROCESS + 3 * 8 * largest, on_host=True)

    def run(self, stage: StageContext, model: Checkpoint) -> LayerTable:
        """Compute the ratio of every matrix, and write the table."""
        from storm_training.trainable.snr import matrix_snr

        shapes = {name: shape for name, (_, shape) in model.headers().items()}
        matrices = find_matrices(shapes)
        if not matrices:
            raise InputError(f"{model.directory}: no attention or MLP matrix by a known name")
        modules: list[LayerRow] = []
        with stage.compute(), stage.progress(len(matrices), "matrices") as progress:
            for matrix in matrices:
                try:
                    snr = matrix_snr(model.tensor(matrix.name))
                except ValueError as error:
                    raise InputError(f"{model.directory}: {matrix.name} is {error}") from error
                modules.append(
                    {
                        "name": matrix.name,
                        "type": matrix.type,
                        "layer": matrix.layer,
                        "shape": list(shapes[matrix.name]),
                        "snr": snr,
                    }
                )
                progress.advance()
        table = LayerTable(stage.directory)
        table.write(shapes_digest(shapes), modules)
        stage.metric("matrices", len(modules), main=True)
        return table
