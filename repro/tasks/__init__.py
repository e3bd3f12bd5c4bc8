"""Tasks by name; importing this package imports neither torch nor scikit-learn."""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from repro.errors import UserError
from repro.tasks.data.folders import DataFolders
from repro.tasks.data.sets import DATA_SETS

if TYPE_CHECKING:
    from repro.tasks.task import Task

CifarModel = Literal["resnet20", "small", "resnet18", "resnet50cifar", "vgg16", "wrn28-10"]


def _cifar10(
    folders: DataFolders,
    seed: int,
    *,
    model: CifarModel = "resnet20",
    augment: bool = True,
    num_train: int = 50_000,
    num_test: int = 10_000,
) -> "Task":
    from repro.tasks.cifar import Cifar10
    from repro.tasks.data import cifar10

    return Cifar10(cifar10.load_from(folders), seed, model, augment, num_train, num_test)


def _cifar100(
    folders: DataFolders,
    seed: int,
    *,
    model: CifarModel = "wrn28-10",
    augment: bool = True,
    num_train: int = 50_000,
    num_test: int = 10_000,
) -> "Task":
    from repro.tasks.cifar import Cifar100
    from repro.tasks.data import cifar100

    return Cifar100(cifar100.load_from(folders), seed, model, augment, num_train, num_test)


def _easgd_cifar10(
    folders: DataFolders,
    seed: int,
    *,
    width: float = 1.0,
    num_train: int = 50_000,
    num_test: int = 10_000,
) -> "Task":
    from repro.tasks.data import cifar10
    from repro.tasks.easgd_cifar import EasgdCifar10

    return EasgdCifar10(cifar10.load_from(folders), seed, width, num_train, num_test)


def _imagenet(
    folders: DataFolders,
    seed: int,
    *,
    model: Literal["resnet18", "resnet50"] = "resnet50",
    goyal_init: bool = True,
    augment: bool = True,
    num_train: int = 1_281_167,
    num_test: int = 50_000,
) -> "Task":
    from repro.tasks.data import imagenet
    from repro.tasks.data.loaders import number_of_loaders
    from repro.tasks.imagenet import ImageNet

    data, loaders = imagenet.load_from(folders), number_of_loaders()
    return ImageNet(data, seed, model, goyal_init, augment, num_train, num_test, loaders)


def _digits(folders: DataFolders, seed: int) -> "Task":
    from repro.tasks.digits import Digits

    return Digits()


def _logistic(
    folders: DataFolders,
    seed: int,
    *,
    dataset: Literal["synthetic", "a9a", "w8a", "ijcnn1", "ijcnn1.val", "epsilon", "epsilon.t"] = "synthetic",
    regularisation: float | None = None,
) -> "Task":
    from repro.tasks.data import binary
    from repro.tasks.logistic import Logistic

    features, labels = binary.synthetic() if dataset == "synthetic" else binary.load(dataset, folders)
    return Logistic(features, labels, regularisation)


def _quadratic(
    folders: DataFolders,
    seed: int,
    *,
    num_features: int = 20,
    num_samples: int = 1000,
    condition: float = 10.0,
    noise: float = 1.0,
    rank: int | None = None,
) -> "Task":
    from repro.tasks.quadratic import Quadratic

    return Quadratic(num_features, num_samples, condition, noise, rank)


TASKS: dict[str, Callable[..., "Task"]] = {
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "digits": _digits,
    "easgd-cifar10": _easgd_cifar10,
    "imagenet": _imagenet,
    "logistic": _logistic,
    "quadratic": _quadratic,
}
"""Name to factory; a factory's keyword-only arguments are the task's options."""


def make_task(name: str, options: Mapping[str, Any], seed: int, folders: DataFolders | None = None) -> "Task":
    """Return the task `name` with these options; folders default to those the environment names.

    Raises:
        UserError: the name, an option or a value is unknown, or the task's data is missing or damaged.
    """
    check_options(name, options)
    return TASKS[name](folders or DataFolders.from_environment(), seed, **options)


_NAMED = {
    "cifar100/wrn28-10": "wide-resnet-28-10",
    "imagenet/resnet18": "resnet18-imagenet",
    "imagenet/resnet50": "resnet50-imagenet",
}
"""Models that `WORKLOADS` of the platforms names otherwise."""


def workload_name(name: str, options: Mapping[str, Any]) -> str:
    """Return what platform files call the model of a task: the task, and its model or data set where it has several."""
    variant = option(name, options, "model") or option(name, options, "dataset")
    workload = f"{name}/{variant}" if variant else name
    return _NAMED.get(workload, workload)


def data_set_of(name: str, options: Mapping[str, Any]) -> str | None:
    """Return the name in `DATA_SETS` of what the task `name` reads; None where it needs nothing from outside."""
    data = option(name, options, "dataset") or name.removeprefix("easgd-")
    return data if data in DATA_SETS else None


def option(name: str, options: Mapping[str, Any], wanted: str) -> Any:
    """Return an option of the task `name`: what `options` says, else its default; None where it has no such option."""
    if wanted in options:
        return options[wanted]
    known = inspect.signature(TASKS[name]).parameters.get(wanted)
    return known.default if known else None


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Check a task's name and options without loading any data.

    Raises:
        UserError: the name, an option or a value is unknown.
    """
    if name not in TASKS:
        raise UserError(f"unknown task {name!r}; known: {', '.join(TASKS)}")
    known = {
        parameter.name: parameter.annotation
        for parameter in inspect.signature(TASKS[name]).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    for option, value in options.items():
        if option not in known:
            raise UserError(f"task {name} has no option {option!r}; known: {', '.join(known) or 'none'}")
        if not _fits(value, known[option]):
            raise UserError(f"task {name}: {option}={value!r} is not {_kind(known[option])}")


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if isinstance(value, bool):  # a bool is an int in Python, but not as an option
        return kind is bool
    return isinstance(value, kind) or (isinstance(value, int) and isinstance(0.0, kind))


def _kind(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    return {bool: "true or false", int: "a whole number"}.get(kind, "a number")
