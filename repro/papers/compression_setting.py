"""CIFAR-10 on a laptop for the methods that compress gradients: four workers, the same for all of them.

Decided here, before any of them was run:
- 4 epochs of the small network, 4 workers with 32 samples each, so 128 in all as usual for CIFAR-10, and as usual then
  learning rate 0.1, a tenth of it after 81/164 and 122/164 of the run. All methods take the same, those in full
  precision among them: they all follow the gradient of the 128 samples, exactly or without bias.
- QSGD has momentum 0.9 and weight decay 1e-4, since its optimiser works on the mean of the decoded gradients. Mem-SGD
  has neither, as in its paper.
- The machine is QSGD's, one EC2 p2.16xlarge, with messages and gradients timed as those of ResNet-20. Encoding and
  decoding take no time there.
"""

from dataclasses import replace

from repro.papers.cifar10_gossip import MILESTONES
from repro.papers.setting import Setting
from repro.runs.spec import Sgd, options

PLATFORM = "ec2-p2-16xlarge"

LAPTOP = Setting(
    task="cifar10",
    task_config=options(model="small"),
    workers=4,
    batch_size=32,
    epochs=4,
    evaluations=8,
    sgd=Sgd(0.1, 0.9, weight_decay=1e-4, milestones=MILESTONES),
    platform=PLATFORM,
    timed_as="resnet20-cifar10",
)

SMOKE = replace(
    LAPTOP,
    task_config=options(model="small", num_train=2000, num_test=500),
    batch_size=16,
    epochs=2,
    evaluations=2,
    sgd=replace(LAPTOP.sgd, lr=0.05),
)
