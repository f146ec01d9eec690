"""The processes of one run: who they are, how they add up, who was lost.

torchrun starts them and sets the environment (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, ...).
A run without torchrun is one process, for which all of this costs nothing.
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

FOREVER = timedelta(days=30)  # to decode a large data set takes as long as it takes


class WorkerLost(RuntimeError):
    """Another process did not answer in time, or is gone."""


@dataclass(frozen=True)
class Processes:
    """This process among all of its run. Rank 0 writes the files and the lines.

    Args:
        local_rank: among the processes of this machine.
        store: where processes leave notes for each other.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    store: Store | None = None
    timeout_s: float = 600.0

    def __deepcopy__(self, _: object) -> "Processes":
        """Itself: the copy of a model belongs to the same processes."""
        return self

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def sums(self) -> str:
        """How numbers are added up, for environment.json: another way has other last bits."""
        return "one process" if self.size == 1 else str(dist.get_backend())

    @property
    def device(self) -> str:
        """Where the tensors have to be that are added up."""
        return "cuda" if self.size > 1 and dist.get_backend() == "nccl" else "cpu"

    def part_of(self, num_items: int) -> range:
        """This process's part of `num_items`: neighbours, and one more than others at most."""
        first, last = (num_items * rank // self.size for rank in (self.rank, self.rank + 1))
        return range(first, last)

    def add(self, tensor: Tensor) -> Tensor:
        """Return the sum of the contiguous tensors of all processes; `tensor` becomes it."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def add_all(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the sums of several tensors of one type, added up as one vector.

        Args:
            tensors: without gaps in memory, as autograd makes gradients; strides stay.
        """
        total = self.add(torch.cat([t.as_strided((t.numel(),), (1,)) for t in tensors]))
        parts = total.split([t.numel() for t in tensors])
        return [p.as_strided(t.shape, t.stride()) for t, p in zip(tensors, parts, strict=True)]

    def add_numbers(self, numbers: Sequence[float]) -> list[float]:
        """The same for numbers, in float64."""
        if self.size == 1:
            return list(numbers)
        total = self.add(torch.tensor(numbers, dtype=torch.float64, device=self.device))
        return [float(number) for number in total]

    def gather(self, tensor: Tensor) -> Tensor:
        """Return one row per process: the tensors (n,) of all of them, as (size, n) on the CPU."""
        rows = torch.zeros(self.size, *tensor.shape, dtype=tensor.dtype)
        rows[self.rank] = tensor
        return self.add(rows.to(self.device)).cpu()  # all rows but one's own are 0

    def send(self, content: bytes) -> bytes:
        """Return rank 0's content on all processes."""
        if self.size == 1:
            return content
        (size,) = self.add_numbers([len(content) if self.is_first else 0])
        buffer = torch.zeros(int(size), dtype=torch.uint8)
        if self.is_first:
            buffer = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        buffer = buffer.to(self.device)
        dist.broadcast(buffer, src=0)
        return buffer.cpu().numpy().tobytes()

    def decide(self, answer: bool) -> bool:
        """Return rank 0's answer on all processes."""
        return bool(self.add_numbers([answer and self.is_first])[0])

    def wait(self) -> None:
        """Until all processes have come here."""
        self.add_numbers([0.0])

    @contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """Let one process of each machine run the block alone, as to decode; then its others."""
        if self.store is None:
            yield
            return
        note = f"the machine of rank {self.rank - self.local_rank} is ahead"
        if self.local_rank > 0:
            self.store.wait([note], FOREVER)
        yield
        if self.local_rank == 0:
            self.store.set(note, "")

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
        assert self.store is not None
        keys = {rank: f"step of rank {rank}" for rank in range(self.size)}
        steps = {
            r: int(self.store.get(k)) if self.store.check([k]) else -1 for r, k in keys.items()
        }
        mine = steps.pop(self.rank)
        lost = [rank for rank, step in steps.items() if step < mine] or list(steps)
        names = " and ".join(f"rank {rank} (last seen at step {steps[rank]})" for rank in lost)
        return (
            f"rank {self.rank} waited at step {mine} for {names}: no answer within "
            f"{self.timeout_s:g} s, or it is gone ({str(error).splitlines()[0][:120]})"
        )


ALONE = Processes()


def leave_at_once(status: int) -> NoReturn:
    """End a process of several when all is done and saved.

    gloo's threads may abort while Python is taken down, which torchrun would take for a failure.
    """
    sys.stdout.flush()
    os._exit(status)


def is_about_waiting(error: RuntimeError) -> bool:
    """Whether a collective failed for want of a partner; torch has no exception type for it."""
    text = str(error).lower()
    return any(word in text for word in ("timed out", "timeout", "connection", "peer", "gloo"))


@contextmanager
def join_processes(timeout_s: float, device: str = "auto") -> Iterator[Processes]:
    """Join the processes that torchrun has started, for the block; without torchrun, be alone.

    Args:
        timeout_s: how long one process waits for another before it gives up.
        device: that they compute on, as in the settings.

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
    try:
        if on_gpus:
            torch.cuda.set_device(local_rank)
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
    except (RuntimeError, ValueError) as error:
        raise UserError(f"the other processes cannot be reached: {error}") from None
    try:
        yield Processes(rank, size, local_rank, store, timeout_s)
    finally:
        dist.destroy_process_group()
