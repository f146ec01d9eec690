"""The processes of one run. torchrun starts them; without torchrun there is one."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from crossent.errors import UserError

FOREVER = timedelta(days=30)  # decoding a large data set may take long
# Words in the message of a RuntimeError: torch has no exception type for a lost process.
ABOUT_WAITING = ("timed out", "timeout", "connection", "peer", "gloo")


class WorkerLost(RuntimeError):
    """The loss of another process, which did not answer in time or has ended."""


def add_up(tensor: Tensor) -> Tensor:
    """Replace the contiguous tensor by its sum over all processes, and return it."""
    if dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor


@dataclass(frozen=True)
class Processes:
    """This process and the others of its run. Rank 0 writes the files and prints."""

    rank: int = 0
    size: int = 1
    sums: str = "one process"  # or the backend, gloo or nccl: their sums differ in the last bits
    store: Store | None = None  # key-value store that the processes share
    timeout_s: float = 600.0

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def part_of(self, num_items: int) -> range:
        """Return the indices of this process's part of `num_items`; parts differ by one at most."""
        first, last = (num_items * rank // self.size for rank in (self.rank, self.rank + 1))
        return range(first, last)

    def add_all(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one type by their sums over all processes, in one vector."""
        # Gradients have no gaps in memory.
        flat = [t.as_strided((t.numel(),), (1,)) for t in tensors]
        sums = add_up(torch.cat(flat)).split([len(f) for f in flat])
        for own, total in zip(flat, sums, strict=True):
            own.copy_(total)

    def total(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, as a new tensor on the CPU."""
        device = "cuda" if self.sums == "nccl" else "cpu"
        return add_up(tensor.to(device, copy=True)).cpu()

    def add_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Return the sums of numbers over all processes, in float64."""
        return self.total(torch.tensor(numbers, dtype=torch.float64)).tolist()

    def gather(self, tensor: Tensor) -> Tensor:
        """Return the tensors (n,) of all processes as rows of (size, n), on the CPU."""
        rows = tensor.new_zeros(self.size, *tensor.shape)
        rows[self.rank] = tensor
        return self.total(rows)  # each row is 0 on the other processes

    def broadcast(self, content: Any) -> Any:
        """Return the content of rank 0 on all processes."""
        box = [content]
        if self.size > 1:
            dist.broadcast_object_list(box)
        return box[0]

    def record_step(self, step: int) -> None:
        """Store which step this process is at, for `name_the_lost` in the others."""
        if self.store is not None:
            self.store.set(f"step of rank {self.rank}", str(step))

    def wait_for_all(self, what: str) -> None:
        """Wait until all processes have called this with `what`; a collective would time out."""
        if self.store is not None:
            self.store.set(f"rank {self.rank} has {what}", "")
            self.store.wait([f"rank {rank} has {what}" for rank in range(self.size)], FOREVER)

    @contextmanager
    def name_the_lost(self) -> Iterator[None]:
        """Turn the time-out of a collective into a WorkerLost that names the missing ranks."""
        try:
            yield
        except RuntimeError as error:
            text = str(error)
            if self.store is None or not any(word in text.lower() for word in ABOUT_WAITING):
                raise
            keys = [f"step of rank {rank}" for rank in range(self.size)]
            steps = [int(self.store.get(k)) if self.store.check([k]) else -1 for k in keys]
            mine, others = steps[self.rank], set(range(self.size)) - {self.rank}
            lost = [rank for rank in others if steps[rank] < mine] or others
            names = " and ".join(f"rank {rank} (last seen at step {steps[rank]})" for rank in lost)
            raise WorkerLost(
                f"rank {self.rank} waited at step {mine} for {names}, which did not answer within "
                f"{self.timeout_s:g} s or has ended ({text.splitlines()[0][:120]})"
            ) from error


ALONE = Processes()


def leave_at_once(status: int) -> NoReturn:
    """End one of several processes without Python's clean-up, in which gloo may abort."""
    sys.stdout.flush()
    os._exit(status)


@contextmanager
def join_processes(timeout_s: float, device: str = "auto") -> Iterator[Processes]:
    """Connect to the other processes that torchrun has started, for the `with` block.

    Raises:
        UserError: the others cannot be reached, or there is no GPU for this process.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpus = device.startswith(("auto", "cuda")) and torch.cuda.is_available()
    if on_gpus and local_rank >= torch.cuda.device_count():
        raise UserError(
            f"process {local_rank + 1} of this machine has no GPU: it has "
            f"{torch.cuda.device_count()}; start no more processes, or set train.device=cpu"
        )
    backend, timeout = "nccl" if on_gpus else "gloo", timedelta(seconds=timeout_s)
    try:
        if on_gpus:
            torch.cuda.set_device(local_rank)
        store, rank, size = next(rendezvous("env://"))
        # torchrun may keep its store after a restart, with the addresses of ended processes.
        store = PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        dist.init_process_group(backend, timeout=timeout, rank=rank, world_size=size, store=store)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"the other processes cannot be reached: {error}") from None
    try:
        yield Processes(rank, size, backend, store, timeout_s)
    finally:
        dist.destroy_process_group()
