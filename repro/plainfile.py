"""Files that may be from elsewhere, and may be no files."""

import errno
from pathlib import Path


def plain(path: Path) -> Path:
    """Return the path of a file, which may be read to its end.

    Raises:
        OSError: it is a pipe or a device, which would be waited for, or read, without end.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a pipe or a device", str(path))
    return path
