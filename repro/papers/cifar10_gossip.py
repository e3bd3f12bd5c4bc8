"""CIFAR-10 on a laptop for the papers on gossip: 16 workers of the simulated world, the same for all of them.

Decided here, before any decentralised method was run:
- 8 epochs of a small network in batches of 32 a worker. The learning rate of one worker, 0.025, keeps the ratio of 0.1
  to 128 that is usual for ResNet-20; it falls after 81/164 and 122/164 of the run, as usual for CIFAR-10.
- Where the learning rate is scaled with the number of workers, its warm-up takes one epoch, an eighth of the run. The
  2.5 to 5.6 % that the papers warm up for would be 20 to 44 steps here: tried once with 20, the *baseline*,
  large-batch SGD, ended at 43 % top-1, with one epoch at 68 %.
- One machine for all papers, Piz Daint, so that their baselines are the same runs, with messages and gradients timed
  as those of ResNet-20. What a paper says about time is tested elsewhere, on its own machine.
- The time of gradients varies by 20 % (log-normal): if all took the same, asynchronous workers would go in lockstep.
"""

from dataclasses import replace

from repro.papers.setting import Setting
from repro.runs.spec import Sgd, options

MILESTONES = (81 / 164, 122 / 164)

LAPTOP = Setting(
    task="cifar10",
    task_config=options(model="small"),
    workers=16,
    batch_size=32,
    epochs=8,
    evaluations=8,
    sgd=Sgd(0.025, 0.9, weight_decay=1e-4, milestones=MILESTONES),
    warmup_epochs=1,
    platform="piz-daint",
    delays="lognormal:0.2",
    timed_as="resnet20-cifar10",
)

SMOKE = replace(
    LAPTOP,
    task_config=options(model="small", num_train=2000, num_test=500),
    workers=8,
    batch_size=16,
    epochs=2,
    evaluations=2,
    sgd=replace(LAPTOP.sgd, lr=0.0125),
    warmup_epochs=0.5,
)
