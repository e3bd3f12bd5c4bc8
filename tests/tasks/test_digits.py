"""The digits task."""

import torch
from sklearn.datasets import load_digits

from repro.flat import flatten
from repro.tasks.data.partition import make_partition
from repro.tasks.data.stream import BatchStream
from repro.tasks.digits import Digits


def test_the_split_is_fixed_and_has_all_classes_on_both_sides() -> None:
    task, again = Digits(), Digits()
    assert (task.num_samples, task.num_test_samples) == (1437, 360)
    assert torch.equal(task.test_inputs, again.test_inputs)
    assert len(task.labels.unique()) == len(task.test_labels.unique()) == 10
    inputs, _ = task.batch(torch.arange(1437), epoch=0)
    assert (float(inputs.min()), float(inputs.max())) == (0.0, 1.0)


def test_the_images_are_those_that_scikit_learn_loads() -> None:
    def sorted_rows(images: torch.Tensor, targets: torch.Tensor) -> list[list[float]]:
        return sorted(torch.cat([images.reshape(-1, 64), targets.reshape(-1, 1)], dim=1).tolist())

    task = Digits()
    images, targets = map(torch.from_numpy, load_digits(return_X_y=True))
    ours = torch.cat([task.inputs, task.test_inputs]), torch.cat([task.labels, task.test_labels]).float()
    assert sorted_rows(*ours) == sorted_rows(images.float() / 16, targets.float())


def test_a_few_epochs_of_sgd_classify_above_95_percent() -> None:
    task = Digits()
    model = flatten(task.new_model(0))
    stream = BatchStream(make_partition("iid", task.num_samples, task.labels, 1, 0), 0, 32)
    for _ in range(6 * 1437 // 32):
        pieces = [task.batch(indices, epoch) for indices, epoch in stream.next()]
        inputs, labels = (torch.cat(parts) for parts in zip(*pieces, strict=True))
        task.loss_and_gradient(model.module, (inputs, labels), model.gradient)
        model.params.sub_(0.1 * model.gradient)
    sums = task.test_sums(model.module, 0, 360)
    assert sums.correct is not None
    assert sums.correct / sums.count > 0.95


def test_normalisation_batches_are_the_training_images() -> None:
    task = Digits()
    batches = task.normalisation_batches(task.new_model(0), 0, 1437)
    assert torch.equal(torch.cat(batches), task.inputs)
