"""Ask pip-audit for known vulnerabilities of pinned packages, and tell "none" from "nobody could be asked".

    python deploy/audit.py REQUIREMENTS [--required]

Exits with 1 for findings; with --required also where a package could not be audited, as without a network.
NOTE: pip-audit itself succeeds where its service knows none of the packages, as behind a mirror of an index.
"""

import json
import subprocess
import sys
from typing import Any

_LIMIT_S = 600


def verdict(report: dict[str, Any], required: bool) -> tuple[int, str]:
    """Say what a report of pip-audit means, and the exit code."""
    packages = report["dependencies"]
    lines = [
        f"{package['name']} {package['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'nothing'}"
        for package in packages
        for flaw in package.get("vulns", ())
    ]
    findings = len(lines)
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    audited = len(packages) - len(skipped)
    if skipped:
        named = ", ".join(skipped[:5]) + (", ..." if len(skipped) > 5 else "")
        lines.append(f"NOT audited, no service knew them: {len(skipped)} packages ({named})")
    told = f"audited {audited} packages, {findings} known vulnerabilities"
    lines.append(told if audited else "NOTHING was audited: no vulnerability service could be asked")
    return int(bool(findings) or (required and (bool(skipped) or not audited))), "\n".join(lines)


def audit(requirements: str) -> dict[str, Any]:
    """Run pip-audit; a service that cannot be reached has audited nothing."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", requirements, "--disable-pip", "--require-hashes"]
    command += ["--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        last = done.stderr.strip().rpartition("\n")[2]
        print(f"pip-audit failed: {last}")
        return {"dependencies": []}
    return report


if __name__ == "__main__":
    code, text = verdict(audit(sys.argv[1]), "--required" in sys.argv[2:])
    print(text)
    sys.exit(code)
