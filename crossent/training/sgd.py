"""torch.optim.SGD without the start of torch's compiler."""

from inspect import unwrap

import torch


class SGD(torch.optim.SGD):
    """torch.optim.SGD, with the methods as they are inside wrappers for torch.compile.

    The wrappers import the compiler when first called, though nothing is compiled here: 0.75 s, a
    quarter of the time to the first step.
    """

    add_param_group = unwrap(torch.optim.SGD.add_param_group)
    load_state_dict = unwrap(torch.optim.SGD.load_state_dict)
    state_dict = unwrap(torch.optim.SGD.state_dict)
    step = torch.no_grad()(unwrap(torch.optim.SGD.step))
    zero_grad = unwrap(torch.optim.SGD.zero_grad)
