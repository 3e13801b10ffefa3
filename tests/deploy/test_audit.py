from typing import Any

import pytest
from deploy.audit import verdict

CLEAN: dict[str, Any] = {"name": "numpy", "version": "2.4.0", "vulns": []}
FLAW = {"id": "PYSEC-2026-1", "fix_versions": ["1.1"], "aliases": [], "description": ""}
FLAWED: dict[str, Any] = {"name": "leaky", "version": "1.0", "vulns": [FLAW]}
UNKNOWN: dict[str, Any] = {"name": "ours", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("packages", "code", "code_if_required", "last_line"),
    [
        ([CLEAN], 0, 0, "audited 1 packages, 0 known vulnerabilities"),
        ([CLEAN, FLAWED], 1, 1, "audited 2 packages, 1 known vulnerabilities"),
        ([CLEAN, UNKNOWN], 0, 1, "audited 1 packages, 0 known vulnerabilities"),
        ([UNKNOWN, FLAWED], 1, 1, "audited 1 packages, 1 known vulnerabilities"),
        ([UNKNOWN], 0, 1, "NOTHING was audited: no vulnerability service could be asked"),
        ([], 0, 1, "NOTHING was audited: no vulnerability service could be asked"),
    ],
)
def test_findings_fail_and_what_was_not_audited_fails_only_where_it_must_be(
    packages: list[dict[str, Any]], code: int, code_if_required: int, last_line: str
) -> None:
    found, text = verdict({"dependencies": packages}, required=False)
    assert (found, text.splitlines()[-1]) == (code, last_line)
    assert verdict({"dependencies": packages}, required=True)[0] == code_if_required


def test_a_finding_names_the_package_the_flaw_and_the_version_that_mends_it() -> None:
    _, text = verdict({"dependencies": [FLAWED, UNKNOWN]}, required=False)
    assert text.splitlines()[:2] == [
        "leaky 1.0: PYSEC-2026-1, fixed in 1.1",
        "NOT audited, no service knew them: 1 packages (ours)",
    ]
