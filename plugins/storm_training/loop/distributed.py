"""Data-parallel training: the worker's device, sharding, and communication between workers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import DDPStrategy, ParallelStrategy
from torch import distributed
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from storm_exp import InputError, StageContext
from storm_models.devices import choose_device
from storm_training.loop.scratch_checkpoints import ScratchCheckpoints
from storm_training.loop.sharded_strategy import ShardedStrategy

T = TypeVar("T")


class Distributed:
    """Communication between workers; with a single worker, every method works locally.

    A context manager that joins the process group, and leaves it when no exception was raised.
    """

    def __init__(self, stage: StageContext) -> None:
        """Read rank, world size, device and strategy from `stage`."""
        runtime = stage.runtime
        kind, _, index = choose_device(runtime.device).partition(":")
        self.rank, self.world = stage.rank, stage.world
        self.accelerator = "cpu" if kind == "cpu" else "gpu"
        """cpu or gpu, Lightning's names."""
        self.sharded = self.world > 1 and (
            runtime.strategy == "fsdp" or (runtime.strategy == "auto" and kind == "cuda")
        )
        """Whether weights are sharded over the workers (FSDP2), instead of replicated (DDP)."""
        self._index = int(index or 0)
        self._per_node, self._nodes = runtime.devices, runtime.nodes
        self._strategy: ParallelStrategy | None = None
        self._device = torch.device("cpu")

    def __enter__(self) -> Distributed:
        if self.world == 1:
            return self
        environment = TorchElasticEnvironment()
        if self.accelerator == "gpu":
            self._device = torch.device("cuda", environment.local_rank())
            torch.cuda.set_device(self._device)
            distributed.init_process_group("nccl", device_id=self._device)
        else:
            distributed.init_process_group("gloo")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # After a failure, a barrier could wait for ever for the other workers.
        if self.world > 1 and kind is None:
            distributed.barrier()
            distributed.destroy_process_group()

    def trainer_arguments(self, precision: str) -> dict[str, Any]:
        """Return arguments for Lightning's Trainer; `precision` is bf16-mixed or 32-true."""
        if self.world == 1:
            devices: Any = 1 if self.accelerator == "cpu" else [self._index]
            return {
                "accelerator": self.accelerator,
                "devices": devices,
                "precision": precision,
                "plugins": [LightningEnvironment(), ScratchCheckpoints()],
            }
        if self.sharded:
            self._strategy = ShardedStrategy(self.world)
        else:
            self._strategy = DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
        return {
            "accelerator": self.accelerator,
            "devices": self._per_node,
            "num_nodes": self._nodes,
            "strategy": self._strategy,
            # FSDP casts weights as it gathers them, so autocast is not used.
            "precision": "32-true" if self.sharded else precision,
            "plugins": [TorchElasticEnvironment(), ScratchCheckpoints()],
        }

    def shard(self, step: list[list[T]]) -> list[list[T]]:
        """Return this worker's rows of a step, in passes no larger than the step's.

        Every worker gets the same number of passes, because they communicate in each; the last may
        be empty.
        """
        rows = [row for rows in step for row in rows]
        size = max(map(len, step), default=1)
        most = -(-len(rows) // self.world)
        own_rows = rows[self.rank :: self.world]
        return [own_rows[start : start + size] for start in range(0, most, size)]

    def all_reduce_sum(self, *values: float) -> list[float]:
        """Return each value summed over the workers, in fp64."""
        if self.world == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64, device=self._device)
        distributed.all_reduce(sums)
        return [float(value) for value in sums]

    def broadcast(self, decide: Callable[[], T]) -> T:
        """Return what `decide` returns on the first worker."""
        if self.world == 1:
            return decide()
        decision = [decide() if self.rank == 0 else None]
        distributed.broadcast_object_list(decision)
        return decision[0]  # type: ignore[return-value]

    @contextlib.contextmanager
    def backward(self, *, last: bool) -> Iterator[None]:
        """Enter around a backward pass: DDP averages gradients over the workers in the `last`.

        FSDP averages them in every pass, so that no worker holds a whole gradient.
        """
        if isinstance(self._strategy, DDPStrategy) and not last:
            with self._strategy.block_backward_sync():
                yield
        else:
            yield

    def shard_weights(
        self, module: LightningModule, layers: torch.nn.ModuleList, precision: str
    ) -> None:
        """Shard the weights of `module` over the workers in place, layer by layer.

        From then on, the weights outside of layers are gathered only by calling `module` itself.
        Raises InputError for weights that cannot be sharded.
        """
        for name, parameter in module.named_parameters():
            if not parameter.is_floating_point():
                problem = "is quantised and cannot be sharded over devices"
                raise InputError(f"{name} {problem}: set runtime.strategy=ddp")
        dtype = torch.bfloat16 if precision == "bfloat16_mixed" else None
        policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
        mesh = module.device_mesh["data_parallel"]  # type: ignore[index]
        for part in (*layers, module):
            fully_shard(part, mesh=mesh, mp_policy=policy)

    def gather(self, module: torch.nn.Module) -> None:
        """Move `module` to the CPU, with whole weights on the first worker.

        On the other workers, sharded weights are replaced by empty tensors.
        """
        if not self.sharded:
            module.to("cpu")
            return
        self._replace(module)

    @contextlib.contextmanager
    def whole(self, module: torch.nn.Module) -> Iterator[None]:
        """Within, the first worker has whole weights, to be written."""
        replaced = self._replace(module) if self.sharded else []
        try:
            yield
        finally:
            for part, name, parameter in replaced:
                part._parameters[name] = parameter

    def _replace(self, module: torch.nn.Module) -> list[tuple[torch.nn.Module, str, Any]]:
        """Replace sharded weights by whole ones, elsewhere by empty tensors; return what was."""
        for part in module.modules():
            if isinstance(part, FSDPModule):
                part.reshard()
        whole: dict[int, torch.nn.Parameter] = {}
        replaced: list[tuple[torch.nn.Module, str, Any]] = []
        for part in module.modules():
            for name, parameter in part._parameters.items():
                if not isinstance(parameter, DTensor):
                    continue
                if id(parameter) not in whole:
                    values = parameter.detach().full_tensor()
                    values = values.cpu() if self.rank == 0 else torch.empty(0)
                    whole[id(parameter)] = torch.nn.Parameter(values, parameter.requires_grad)
                replaced.append((part, name, parameter))
                part._parameters[name] = whole[id(parameter)]
        return replaced


def clip(parameters: list[torch.nn.Parameter], limit: float | None) -> float:
    """Scale all gradients so that their global norm is at most `limit`; None: unlimited.

    Returns the norm before clipping, over all workers.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = [torch.linalg.vector_norm(g, dtype=torch.float32) for g in gradients]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    torch.nn.utils.clip_grads_with_norm_(parameters, limit or float("inf"), norm)
    return float(norm)
