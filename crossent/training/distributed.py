"""The processes of one run: who they are, how they add up, how they notice that one hangs.

torchrun starts them and sets the environment (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, ...).
A run without it is a world of one process, for which all of this costs nothing.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from crossent.errors import UserError
from crossent.training.shared_sum import Missing, SharedSum, can_share_memory, share_memory

FOREVER = timedelta(
    days=30
)  # decoding a large data set for the first time takes as long as it takes


class WorkerLost(RuntimeError):
    """Another process did not answer in time, or is gone."""


@dataclass(frozen=True)
class World:
    """Rank 0 writes the files and the lines; the others only compute."""

    rank: int = 0
    size: int = 1
    store: Store | None = None  # where processes leave notes for each other
    timeout_s: float = 600.0
    shared_sum: SharedSum | None = None  # in place of torch.distributed, where there is one

    def __deepcopy__(self, _: object) -> "World":
        """Itself: the copy of a model is in the same world."""
        return self

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def sums(self) -> str:
        """How numbers are added up, for environment.json: another way has other last bits."""
        if self.size == 1:
            return "one process"
        return "shared memory" if self.shared_sum is not None else str(dist.get_backend())

    def share(self, num_items: int) -> range:
        """This process's part of `num_items`: neighbours, and one more than others at most."""
        first, last = (num_items * rank // self.size for rank in (self.rank, self.rank + 1))
        return range(first, last)

    def add(self, tensor: Tensor) -> Tensor:
        """The sum of the contiguous tensors of all processes; `tensor` may become it."""
        if self.shared_sum is not None:
            return self.shared_sum([tensor.view(-1)]).view_as(tensor)
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def add_all(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums of several tensors of one type in one go, with the strides they have.

        Args:
            tensors: without gaps in memory, as autograd makes gradients.
        """
        flat = [tensor.as_strided((tensor.numel(),), (1,)) for tensor in tensors]
        total = self.shared_sum(flat) if self.shared_sum else self.add(torch.cat(flat))
        sums = total.split([tensor.numel() for tensor in tensors])
        return [
            part.as_strided(tensor.shape, tensor.stride())
            for tensor, part in zip(tensors, sums, strict=True)
        ]

    def add_numbers(self, numbers: Sequence[float]) -> list[float]:
        """The same for numbers, in float64."""
        if self.size == 1:
            return list(numbers)
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        total = self.add(torch.tensor(numbers, dtype=torch.float64, device=device))
        return [float(number) for number in total]

    def wait(self) -> None:
        """Until all processes have come here."""
        self.add_numbers([0.0])

    def gather(self, tensor: Tensor) -> Tensor:
        """A row for each process: the tensors (n,) of all of them, as (size, n) on the CPU."""
        rows = torch.zeros(self.size, *tensor.shape, dtype=tensor.dtype)
        rows[self.rank] = tensor
        on_device = rows.cuda() if self.size > 1 and dist.get_backend() == "nccl" else rows
        return self.add(on_device).cpu()  # all rows but one's own are 0

    @contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """Rank 0 runs the block alone, such as decoding into the cache; then the others do."""
        if self.store is not None and not self.is_first:
            self.store.wait(["rank 0 is ahead"], FOREVER)
        yield
        if self.store is not None and self.is_first:
            self.store.set("rank 0 is ahead", "")

    def note_step(self, step: int) -> None:
        """Leave word of the step that this process begins, for `name_the_lost`."""
        if self.store is not None:
            self.store.set(f"step of rank {self.rank}", str(step))

    @contextmanager
    def name_the_lost(self) -> Iterator[None]:
        """Turn the time-out of a collective into a sentence that names who did not come.

        Raises:
            WorkerLost: in place of torch's error, if that came from waiting for another process.
        """
        try:
            yield
        except RuntimeError as error:
            if self.store is None or not is_about_waiting(error):
                raise
            raise WorkerLost(self.describe_lost(error)) from error

    def describe_lost(self, error: RuntimeError) -> str:
        steps = {rank: self.last_step(rank) for rank in range(self.size)}
        mine = steps.pop(self.rank)
        if isinstance(error, Missing):
            lost, reason = error.ranks, str(error)
        else:
            lost = [rank for rank, step in steps.items() if step < mine] or list(steps)
            first_line = str(error).splitlines()[0][:120]
            reason = f"no answer within {self.timeout_s:g} s, or it is gone ({first_line})"
        names = " and ".join(f"rank {rank} (last seen at step {steps[rank]})" for rank in lost)
        return f"rank {self.rank} waited at step {mine} for {names}: {reason}"

    def last_step(self, rank: int) -> int:
        key = f"step of rank {rank}"
        assert self.store is not None
        return int(self.store.get(key)) if self.store.check([key]) else -1


ALONE = World()


def leave_at_once(status: int) -> NoReturn:
    """End a process of several when all is done and saved.

    gloo's threads may abort while Python is taken down, which torchrun would take for a failure.
    """
    sys.stdout.flush()
    os._exit(status)


def is_about_waiting(error: RuntimeError) -> bool:
    """Whether a collective failed for want of a partner; torch has no exception type for it."""
    text = str(error).lower()
    return isinstance(error, Missing) or any(
        word in text for word in ("timed out", "timeout", "connection", "peer", "gloo")
    )


@contextmanager
def joined_world(timeout_s: float, device: str = "auto") -> Iterator[World]:
    """Join the processes that torchrun has started, for the block; without torchrun, be alone.

    Args:
        timeout_s: how long one process waits for another before it gives up.
        device: that they compute on, as in the settings.

    Raises:
        UserError: the others cannot be reached.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield World()
        return
    on_gpus = device.startswith(("auto", "cuda")) and torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        store, rank, size = next(rendezvous("env://"))
        # torchrun may keep its store through a restart, with addresses of processes long gone.
        store = PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        dist.init_process_group(
            backend="nccl" if on_gpus else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=timeout_s),
        )
        shares = not on_gpus and can_share_memory()
        shared_sum = share_memory(store, rank, size, timeout_s) if shares else None
    except (RuntimeError, ValueError) as error:
        raise UserError(f"the other processes cannot be reached: {error}") from None
    try:
        yield World(rank, size, store, timeout_s, shared_sum)
    finally:
        dist.destroy_process_group()
