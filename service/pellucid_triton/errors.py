"""What can go wrong around the embedded Triton.

LauncherError
├── InvalidSettingError     a setting is outside its limits
├── EnvironmentBuildError   the server's own Python environment cannot be made or run
└── StartError              a process ended, or was not ready in time
    └── SelfCheckError      the server is up but tensors do not come back intact
"""


class LauncherError(Exception):
    """Anything that keeps the embedded Triton from serving; the message says what to do."""


class InvalidSettingError(LauncherError):
    """A setting is outside its limits."""


class EnvironmentBuildError(LauncherError):
    """The server's own Python environment cannot be made, or its interpreter cannot be embedded."""


class StartError(LauncherError):
    """A process ended while it was starting, or was not ready in time."""


class SelfCheckError(StartError):
    """The server is up, but a known tensor did not come back with its known values."""
