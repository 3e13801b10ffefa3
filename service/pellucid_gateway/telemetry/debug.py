"""The debug page: what a person wants to see first, as one page of HTML without scripts."""

import html
from collections.abc import Iterable, Mapping, Sequence

from pellucid.v1 import model_pb2
from pellucid_gateway.telemetry.calls import Ended
from pellucid_gateway.telemetry.facts import Facts
from pellucid_gateway.telemetry.secrecy import shown

MAX_TEXT = 300

_STYLE = (
    "body{font:14px system-ui;margin:2em}table{border-collapse:collapse;margin-bottom:2em}"
    "td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left;vertical-align:top}"
)


def page(
    facts: Facts,
    versions: Mapping[str, str],
    process: Mapping[str, float],
    handled: Sequence[tuple[str, str, str, int]],
    ended: Sequence[Ended],
) -> str:
    """Write the page. `handled` lists method, code, caller's kind and number, and `ended` has the newest call last.

    Settings that are secrets by their names are hidden, and everything is escaped.
    """
    state = "not ready: " + ", ".join(facts.faults) if facts.faults else "ready"
    sections = (
        _table("Models", ("name", "state", "versions", "reason"), map(_model, facts.models)),
        _table("Tritons", tuple(facts.replicas[0]) if facts.replicas else (), (r.values() for r in facts.replicas)),
        _table("In flight", ("what", "now"), facts.in_flight.items()),
        _table("Calls handled by this process", ("method", "code", "caller", "calls"), handled),
        _table(
            "Refused and failed last",
            ("at", "method", "model", "code", "caller", "request", "seconds", "reason"),
            map(_ended, reversed(ended)),
        ),
        _table("Process", ("what", "value"), ((name, f"{value:,.10g}") for name, value in process.items())),
        _table("Versions", ("package", "version"), versions.items()),
        _table("Settings", ("name", "value"), ((name, shown(name, value)) for name, value in facts.settings.items())),
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Pellucid gateway</title>'
        f"<style>{_STYLE}</style></head><body><h1>Pellucid gateway: {_text(state)}</h1>"
        f"{''.join(sections)}</body></html>"
    )


def _table(title: str, heads: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<h2>{_text(title)}</h2><table><tr>{head}</tr>{body}</table>"


def _text(value: object) -> str:
    text = str(value)
    return html.escape(text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}...")


def _model(card: model_pb2.Model) -> tuple[str, ...]:
    state = model_pb2.State.Name(card.state).removeprefix("STATE_").lower()
    return card.name, state, " ".join(version.name for version in card.versions), card.state_reason


def _ended(call: Ended) -> tuple[object, ...]:
    at, seconds = call.at.isoformat(timespec="milliseconds"), f"{call.seconds:.3f}"
    return at, call.method, call.model, call.code, call.caller, call.request_id, seconds, call.reason
