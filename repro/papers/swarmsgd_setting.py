"""How SwarmSGD's paper trains ResNet-20 on CIFAR-10; `swarmsgd.py` says what of it is printed."""

from repro.papers.setting import Setting
from repro.runs.spec import Sgd, options

MULTIPLIER = 1.4
"""280 epochs of SwarmSGD for 200 of the baselines in table 1."""

RESNET20 = Setting(
    task="cifar10",
    task_config=options(model="resnet20"),
    workers=8,
    batch_size=128,
    epochs=200,
    evaluations=40,
    sgd=Sgd(0.1, 0.9, weight_decay=1e-4, milestones=(81 / 200, 122 / 200, 164 / 200)),
    warmup_epochs=5,
)
