import hmac
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import pytest

from pellucid_gateway.errors import Unauthenticated
from pellucid_gateway.identity import api_keys
from pellucid_gateway.identity.caller import Caller, Kind
from pellucid_gateway.identity.callers_file import CallersDocument
from pellucid_gateway.identity.directory import Directory
from tests.pellucid_gateway.identity import roster

FIRST, SECOND, OTHER = (api_keys.create_key() for _ in range(3))
ENDS = datetime(2026, 6, 1, tzinfo=UTC)


def directory(*callers: dict[str, Any], **rest: Any) -> Directory:
    return Directory(CallersDocument.model_validate({"callers": list(callers), **rest}))


def test_every_key_of_a_caller_is_theirs_with_all_they_may_do() -> None:
    found = directory(
        roster.caller("a", FIRST, SECOND, models=("digiface",), admin=True, images_per_minute=60, bytes_per_minute=1e6),
        roster.caller("b", OTHER),
    )
    expected = Caller("a", Kind.KEY, ("digiface",), True, 60, 1e6)
    assert found.by_key(FIRST, 0) == found.by_key(SECOND, 0) == expected
    assert found.by_key(OTHER, 0) == Caller("b", Kind.KEY)


@pytest.mark.parametrize(
    "key",
    [OTHER, FIRST[:-1], f"{FIRST}0", FIRST.upper(), f"pk_{api_keys.key_id(FIRST)}_", f"pk_{api_keys.key_id(FIRST)}", "pk_", "pk__", "", "pk_\udcff_\udcff"],
)  # fmt: skip
def test_a_key_that_is_not_quite_right_is_nobodys(key: str) -> None:
    with pytest.raises(Unauthenticated, match=r"^the API key is not valid$"):
        directory(roster.caller("a", FIRST)).by_key(key, 0)


def test_the_id_of_one_key_with_the_secret_of_another_is_nobodys() -> None:
    mixed = f"pk_{api_keys.key_id(FIRST)}_{SECOND.rpartition('_')[2]}"
    with pytest.raises(Unauthenticated, match="not valid"):
        directory(roster.caller("a", FIRST, SECOND)).by_key(mixed, 0)


def test_a_key_ends_at_the_second_that_the_file_says() -> None:
    found = directory({"name": "a", "models": [], "keys": [roster.key_entry(FIRST, ENDS)]})
    assert found.by_key(FIRST, ENDS.timestamp() - 1).name == "a"
    with pytest.raises(Unauthenticated, match="expired"):
        found.by_key(FIRST, ENDS.timestamp())


def test_that_a_key_has_ended_is_told_only_to_who_has_it() -> None:
    found = directory({"name": "a", "models": [], "keys": [roster.key_entry(FIRST, ENDS)]})
    with pytest.raises(Unauthenticated, match="not valid"):
        found.by_key(f"pk_{api_keys.key_id(FIRST)}_guess", ENDS.timestamp())


def test_digests_are_compared_in_constant_time_and_unknown_ids_cost_the_same_work() -> None:
    found = directory(roster.caller("a", FIRST))

    def refused(key: str) -> None:
        with pytest.raises(Unauthenticated):
            found.by_key(key, 0)

    wrong_secret = f"pk_{api_keys.key_id(FIRST)}_{'0' * 64}"
    right, wrong, unknown = _built_ins_called(lambda: found.by_key(FIRST, 0)), _built_ins_called(lambda: refused(wrong_secret)), _built_ins_called(lambda: refused(OTHER))  # fmt: skip
    assert right.count(hmac.compare_digest) == 1
    assert wrong.count(hmac.compare_digest) == 1
    assert unknown == wrong


def test_a_token_is_of_the_caller_whose_subject_it_has() -> None:
    found = directory(roster.caller("a", subjects=["ada"], admin=True), roster.caller("b", subjects=["bob"]))
    assert found.by_claims({"sub": "ada"}) == Caller("a", Kind.TOKEN, is_admin=True)
    assert found.by_claims({"sub": "bob"}) == Caller("b", Kind.TOKEN)


def test_a_token_is_of_the_first_caller_all_of_whose_claims_it_has() -> None:
    found = directory(
        roster.caller("both", claims={"team": "research", "level": "high"}),
        roster.caller("one", claims={"team": "research"}),
        roster.caller("later", claims={"team": "research"}),
    )
    assert found.by_claims({"sub": "x", "team": "research", "level": "high"}).name == "both"
    assert found.by_claims({"sub": "x", "team": ["sales", "research"]}).name == "one"


def test_a_subject_goes_before_claims() -> None:
    found = directory(roster.caller("team", claims={"team": "research"}), roster.caller("ada", subjects=["ada"]))
    assert found.by_claims({"sub": "ada", "team": "research"}).name == "ada"


@pytest.mark.parametrize(
    "claims", [{}, {"team": "sales"}, {"team": None}, {"team": "research2"}, {"team": {"research": 1}}]
)
def test_a_token_that_names_no_caller_is_refused_where_there_is_no_role_for_it(claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated, match="nobody's"):
        directory(roster.caller("a", claims={"team": "research"})).by_claims({"sub": "x", **claims})


def test_other_tokens_have_the_role_of_tokens_each_subject_for_itself() -> None:
    found = directory(tokens={"models": ["digiface"], "images_per_minute": 60})
    assert found.by_claims({"sub": "x"}) == Caller("token/x", Kind.TOKEN, ("digiface",), False, 60)
    assert found.by_claims({"sub": "y"}).name == "token/y"


def test_no_subject_makes_a_token_pass_for_a_caller_of_the_file() -> None:
    found = directory(roster.caller("studio", FIRST), tokens={"models": []})
    assert found.by_claims({"sub": "studio"}).name != found.by_key(FIRST, 0).name


def test_a_subject_past_the_limit_is_refused() -> None:
    found = directory(tokens={"models": []})
    assert len(found.by_claims({"sub": "s" * 200}).name) == len("token/") + 200
    with pytest.raises(Unauthenticated, match="201 characters, and the limit is 200"):
        found.by_claims({"sub": "s" * 201})


def test_a_certificate_is_of_the_caller_who_has_one_of_its_names() -> None:
    found = directory(
        roster.caller("a", certificates=["spiffe://x/a", "a.example"]), roster.caller("b", certificates=["b.example"])
    )
    assert found.by_certificate(["other", "a.example", "spiffe://x/a"]) == Caller("a", Kind.CERTIFICATE)
    assert found.by_certificate(["other"]) is None
    assert found.by_certificate([]) is None
    with pytest.raises(Unauthenticated, match="different callers"):
        found.by_certificate(["a.example", "b.example"])


def test_who_shows_nothing_may_do_what_the_file_says_of_them() -> None:
    assert directory().anonymous == Caller("anonymous", Kind.ANONYMOUS)
    role = {"models": ["digiface"], "images_per_minute": 6}
    assert directory(anonymous=role).anonymous == Caller("anonymous", Kind.ANONYMOUS, ("digiface",), False, 6)


def _built_ins_called(act: Callable[[], object]) -> list[object]:
    called: list[object] = []

    def note(frame: FrameType, event: str, built_in: object) -> None:
        if event == "c_call" and frame.f_code.co_filename.endswith(("identity/directory.py", "identity/api_keys.py")):
            called.append(built_in if built_in is hmac.compare_digest else getattr(built_in, "__name__", ""))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    return called
