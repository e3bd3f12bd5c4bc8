"""One thread: tests share their cores with the ranks they start."""

import torch

torch.set_num_threads(1)
