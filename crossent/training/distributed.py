"""The processes of one run, which torchrun starts; without torchrun a run is one process."""

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

FOREVER = timedelta(days=30)  # decoding a large data set takes as long as it takes
ABOUT_WAITING = ("timed out", "timeout", "connection", "peer", "gloo")  # torch has no such type


class WorkerLost(RuntimeError):
    """Another process did not answer in time, or is gone."""


def add_up(tensor: Tensor) -> Tensor:
    """Return the sum of the contiguous tensors of all processes; `tensor` becomes it."""
    if dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor


@dataclass(frozen=True)
class Processes:
    """This process among all of its run. Rank 0 writes the files and prints."""

    rank: int = 0
    size: int = 1
    sums: str = "one process"  # how numbers are added up, gloo or nccl: they differ in last bits
    store: Store | None = None  # where processes leave notes for each other
    timeout_s: float = 600.0

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def part_of(self, num_items: int) -> range:
        """Return this process's part of `num_items`: neighbours, at most one more than others."""
        first, last = (num_items * rank // self.size for rank in (self.rank, self.rank + 1))
        return range(first, last)

    def add_all(self, tensors: Sequence[Tensor]) -> None:
        """Replace several tensors of one type by their sums, added up as one vector."""
        # no gaps in memory, as autograd makes gradients
        flat = [t.as_strided((t.numel(),), (1,)) for t in tensors]
        sums = add_up(torch.cat(flat)).split([len(f) for f in flat])
        for own, total in zip(flat, sums, strict=True):
            own.copy_(total)

    def total(self, tensor: Tensor) -> Tensor:
        """Return the sum of the tensors of all processes, on the CPU; `tensor` stays."""
        device = "cuda" if self.sums == "nccl" else "cpu"
        return add_up(tensor.to(device, copy=True)).cpu()

    def add_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Return the sums of the numbers of all processes, added in float64."""
        return self.total(torch.tensor(numbers, dtype=torch.float64)).tolist()

    def gather(self, tensor: Tensor) -> Tensor:
        """Return the tensors (n,) of all processes as rows (size, n), on the CPU."""
        rows = tensor.new_zeros(self.size, *tensor.shape)
        rows[self.rank] = tensor
        return self.total(rows)  # all rows but one's own are 0

    def send(self, content: Any) -> Any:
        """Return rank 0's content on all processes."""
        box = [content]
        if self.size > 1:
            dist.broadcast_object_list(box)
        return box[0]

    def note_step(self, step: int) -> None:
        """Tell `name_the_lost` of the other processes which step this one begins."""
        if self.store is not None:
            self.store.set(f"step of rank {self.rank}", str(step))

    def wait_for_all(self, what: str) -> None:
        """Wait until all processes have done something, however long: a collective gives up."""
        if self.store is not None:
            self.store.set(f"rank {self.rank} has {what}", "")
            self.store.wait([f"rank {rank} has {what}" for rank in range(self.size)], FOREVER)

    @contextmanager
    def name_the_lost(self) -> Iterator[None]:
        """Turn a collective's time-out into WorkerLost, which names who did not come."""
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
                f"rank {self.rank} waited at step {mine} for {names}: no answer within "
                f"{self.timeout_s:g} s, or it is gone ({text.splitlines()[0][:120]})"
            ) from error


ALONE = Processes()


def leave_at_once(status: int) -> NoReturn:
    """End a process of several: gloo's threads may abort while Python is taken down."""
    sys.stdout.flush()
    os._exit(status)


@contextmanager
def join_processes(timeout_s: float, device: str = "auto") -> Iterator[Processes]:
    """Join the processes that torchrun has started, for the block; without torchrun, be alone.

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
            f"{torch.cuda.device_count()}; start as many processes, or set train.device=cpu"
        )
    backend, timeout = "nccl" if on_gpus else "gloo", timedelta(seconds=timeout_s)
    try:
        if on_gpus:
            torch.cuda.set_device(local_rank)
        store, rank, size = next(rendezvous("env://"))
        # torchrun may keep its store through a restart, with addresses of processes long gone.
        store = PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        dist.init_process_group(backend, timeout=timeout, rank=rank, world_size=size, store=store)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"the other processes cannot be reached: {error}") from None
    try:
        yield Processes(rank, size, backend, store, timeout_s)
    finally:
        dist.destroy_process_group()
