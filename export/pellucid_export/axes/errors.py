"""The errors of axes.

ExportError
└── AxesError    axes cannot be fitted, imported or written as asked
"""

from pellucid_export.errors import ExportError


class AxesError(ExportError):
    """Axes cannot be fitted, imported or written as asked."""
