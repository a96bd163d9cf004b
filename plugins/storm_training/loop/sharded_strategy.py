"""FSDP2 under Lightning, with the same checkpoints as training on one device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy, Strategy
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer


class ShardedStrategy(ModelParallelStrategy):
    """Data parallelism over all workers, with every weight sharded over them.

    A checkpoint is one file that the first worker writes, with the whole tensors of the module's
    `state_dict` and the optimiser's state, so that a run can resume with another number of workers.
    """

    def __init__(self, world: int) -> None:
        """Shard over `world` workers; Lightning's default is the number of nodes."""
        super().__init__(
            data_parallel_size=world, tensor_parallel_size=1, save_distributed_checkpoint=False
        )

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Return True: the optimiser's state is restored as from any checkpoint."""
        return True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return the module's state: whole tensors on the first worker, None on the others."""
        assert self.lightning_module is not None
        state = self.lightning_module.state_dict()
        return {name: self._whole(values) for name, values in state.items()}

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the optimiser's state: whole tensors on the first worker, None on the others."""
        if isinstance(optimizer, LightningOptimizer):
            optimizer = optimizer._optimizer
        saved = optimizer.state_dict()
        state = {
            index: {name: self._whole(value) for name, value in values.items()}
            for index, values in saved["state"].items()
        }
        return {**saved, "state": state}

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint, memory-mapped, so that a worker reads only its own shards."""
        checkpoint: dict[str, Any] = torch.load(
            checkpoint_path, map_location="cpu", weights_only=True, mmap=True
        )
        return checkpoint

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Load this worker's shards of the weights."""
        assert self.lightning_module is not None
        for name, values in self.lightning_module.state_dict().items():
            with torch.no_grad():
                values.copy_(_shard(checkpoint["state_dict"][name], values))

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Load this worker's shards of the optimisers' states."""
        states = []
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            own = [p for group in optimizer.param_groups for p in group["params"]]
            indices = [index for group in saved["param_groups"] for index in group["params"]]
            state = {
                index: {
                    name: _shard(value, parameter) if value.shape == parameter.shape else value
                    for name, value in saved["state"][index].items()
                }
                for index, parameter in zip(indices, own, strict=True)
                if index in saved["state"]
            }
            states.append({**saved, "state": state})
        Strategy.load_optimizer_state_dict(self, {"optimizer_states": states})

    def _whole(self, value: Any) -> Any:
        if not isinstance(value, DTensor):
            return value
        values = value.full_tensor()
        return values.cpu() if self.is_global_zero else None


def _shard(whole: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return this worker's shard of a tensor that every worker has, sharded like `like`."""
    whole = whole.to(like.device)
    if not isinstance(like, DTensor):
        return whole
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)
