"""Tasks by name."""

import subprocess
import sys
from typing import Any

import pytest

from repro.errors import UserError
from repro.tasks import TASKS, check_options, data_set_of, make_task
from repro.tasks.cifar import MODELS
from repro.tasks.data.binary import SHAPES


def test_importing_the_registry_is_light() -> None:
    program = "import sys, repro.tasks; sys.exit(' '.join({'torch', 'numpy', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stderr.strip() == ""


@pytest.mark.parametrize(
    ("name", "options", "num_samples"),
    [
        ("digits", {}, 1437),
        ("logistic", {"dataset": "synthetic", "regularisation": 0.1}, 2000),
        ("quadratic", {"num_samples": 30, "condition": 4}, 30),
    ],
)
def test_a_task_is_made_by_name(name: str, options: dict[str, Any], num_samples: int) -> None:
    assert make_task(name, options, seed=0).num_samples == num_samples


def test_every_model_and_set_can_be_asked_for() -> None:
    for model in MODELS:
        check_options("cifar10", {"model": model})
    for dataset in SHAPES:
        check_options("logistic", {"dataset": dataset})
        assert data_set_of("logistic", {"dataset": dataset}) == dataset


def test_a_task_says_which_data_it_reads() -> None:
    assert [data_set_of(name, {}) for name in TASKS] == ["cifar10", "cifar100", None, "cifar10", "imagenet", None, None]
    assert list(TASKS) == ["cifar10", "cifar100", "digits", "easgd-cifar10", "imagenet", "logistic", "quadratic"]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("mnist", {}, f"unknown task 'mnist'; known: {', '.join(TASKS)}"),
        ("cifar10", {"modell": 1}, "no option 'modell'; known: model, augment, num_train, num_test"),
        ("cifar10", {"model": "vgg"}, "model='vgg' is not one of resnet20, small"),
        ("cifar10", {"augment": "yes"}, "augment='yes' is not true or false"),
        ("cifar10", {"num_train": 1.5}, "num_train=1.5 is not a whole number"),
        ("cifar10", {"num_train": True}, "num_train=True is not a whole number"),
        ("digits", {"model": "small"}, "no option 'model'; known: none"),
        ("logistic", {"regularisation": "1/N"}, "regularisation='1/N' is not a number"),
    ],
)
def test_what_is_unknown_is_one_line_that_names_what_is_known(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        check_options(name, options)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
