"""The devices that train one model together: the one of this process, or one in each worker."""

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
    """What several workers exchange; alone, each method is what one would write plainly.

    A context manager: connects the workers, and parts them when all went well.
    """

    def __init__(self, stage: StageContext) -> None:
        """Read off `stage` who this worker is, and how the runtime divides training."""
        runtime = stage.runtime
        kind, _, index = choose_device(runtime.device).partition(":")
        self.rank, self.world = stage.rank, stage.world
        self.accelerator = "cpu" if kind == "cpu" else "gpu"
        """cpu or gpu, as Lightning calls them."""
        self.sharded = self.world > 1 and (
            runtime.strategy == "fsdp" or (runtime.strategy == "auto" and kind == "cuda")
        )
        """Whether each worker holds a part of every weight (FSDP2), instead of all weights."""
        self._index = int(index or 0)
        self._per_node, self._nodes = runtime.devices, runtime.nodes
        self._strategy: ParallelStrategy | None = None
        self._here = torch.device("cpu")

    def __enter__(self) -> Distributed:
        if self.world == 1:
            return self
        environment = TorchElasticEnvironment()
        if self.accelerator == "gpu":
            self._here = torch.device("cuda", environment.local_rank())
            torch.cuda.set_device(self._here)
            distributed.init_process_group("nccl", device_id=self._here)
        else:
            distributed.init_process_group("gloo")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # After a failure here, another worker may wait for this one for ever.
        if self.world > 1 and kind is None:
            distributed.barrier()
            distributed.destroy_process_group()

    def trainer_arguments(self, precision: str) -> dict[str, Any]:
        """Return what Lightning's Trainer is to know; `precision` is bf16-mixed or 32-true."""
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
            # What is sharded is cast as it is gathered, instead of by autocast.
            "precision": "32-true" if self.sharded else precision,
            "plugins": [TorchElasticEnvironment(), ScratchCheckpoints()],
        }

    def shard(self, step: list[list[T]]) -> list[list[T]]:
        """Return this worker's part of the rows of a step, in passes no larger than the step's.

        Every worker gets the same number of passes, because each pass of one is a pass of all;
        the last of some may be empty.
        """
        rows = [row for rows in step for row in rows]
        size = max(map(len, step), default=1)
        most = -(-len(rows) // self.world)
        mine = rows[self.rank :: self.world]
        return [mine[start : start + size] for start in range(0, most, size)]

    def all_reduce_sum(self, *values: float) -> list[float]:
        """Return each value summed over the workers, in fp64."""
        if self.world == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64, device=self._here)
        distributed.all_reduce(sums)
        return [float(value) for value in sums]

    def broadcast(self, decide: Callable[[], T]) -> T:
        """Return what the first worker decides."""
        if self.world == 1:
            return decide()
        decision = [decide() if self.rank == 0 else None]
        distributed.broadcast_object_list(decision)
        return decision[0]  # type: ignore[return-value]

    @contextlib.contextmanager
    def backward(self, *, last: bool) -> Iterator[None]:
        """Enter around the backward pass: gradients of whole weights are exchanged in the last.

        Parts of weights are exchanged in every pass, so that no worker holds a whole gradient.
        Gradients come out as the mean over the workers.
        """
        if isinstance(self._strategy, DDPStrategy) and not last:
            with self._strategy.block_backward_sync():
                yield
        else:
            yield

    def shard_weights(
        self, module: LightningModule, layers: torch.nn.ModuleList, precision: str
    ) -> None:
        """Divide the weights of `module` in place among the workers, layer by layer.

        From then on, only calling `module` itself brings the weights outside of layers together.
        Raises InputError for weights that cannot be divided.
        """
        for name, parameter in module.named_parameters():
            if not parameter.is_floating_point():
                problem = "is quantised and cannot be divided among devices"
                raise InputError(f"{name} {problem}: set runtime.strategy=ddp")
        dtype = torch.bfloat16 if precision == "bf16-mixed" else None
        policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
        mesh = module.device_mesh["data_parallel"]  # type: ignore[index]
        for part in (*layers, module):
            fully_shard(part, mesh=mesh, mp_policy=policy)

    def gather(self, module: torch.nn.Module) -> None:
        """Move `module` to the CPU; the first worker then has its weights whole.

        The others, where weights were divided, are left with empty ones.
        """
        if not self.sharded:
            module.to("cpu")
            return
        for part in module.modules():
            if isinstance(part, FSDPModule):
                part.reshard()
        whole: dict[int, torch.nn.Parameter] = {}
        for part in module.modules():
            for name, parameter in part._parameters.items():
                if not isinstance(parameter, DTensor):
                    continue
                if id(parameter) not in whole:
                    values = parameter.detach().full_tensor()
                    kept = values.cpu() if self.rank == 0 else torch.empty(0)
                    whole[id(parameter)] = torch.nn.Parameter(kept, parameter.requires_grad)
                part._parameters[name] = whole[id(parameter)]


def clip(parameters: list[torch.nn.Parameter], limit: float | None) -> float:
    """Scale gradients down to a norm of `limit` over all of them and all workers, if there is one.

    Returns the norm before.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = [torch.linalg.vector_norm(g, dtype=torch.float32) for g in gradients]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    torch.nn.utils.clip_grads_with_norm_(parameters, limit or float("inf"), norm)
    return float(norm)
