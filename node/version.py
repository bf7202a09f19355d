"""The version of the program, as peers and people see it."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("vidya")
except PackageNotFoundError:  # a checkout that was never installed
    VERSION = "0"

SOFTWARE = f"vidya/{VERSION}"
