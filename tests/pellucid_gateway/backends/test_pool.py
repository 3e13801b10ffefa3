import asyncio

import pytest

from pellucid_gateway.backends.base import Served
from pellucid_gateway.errors import BackendUnreachable, DeadlineExceeded, InferenceFailed, ModelUnavailable
from tests.pellucid_gateway.backends.replicas import Replica, Replicas, paint, reds


async def started(addresses: str = "a:1,b:1,c:1") -> Replicas:
    replicas = Replicas(addresses)
    await replicas.pool.served()
    return replicas


async def measured(replicas: Replicas) -> None:
    """Let every replica answer once, so that the model's service time is known."""
    for _ in replicas.all:
        await replicas.pool.infer(paint(0))
    for replica in replicas.all:
        replica.batches.clear()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_batches_that_follow_each_other_go_round() -> None:
    replicas = await started()
    answers = [reds(await replicas.pool.infer(paint(k))) for k in range(6)]
    assert answers == [[128], [144], [160], [176], [192], [208]]
    assert replicas.counts() == [2, 2, 2]


async def test_a_batch_goes_where_the_fewest_rows_are_under_way() -> None:
    replicas = await started()
    for replica in replicas.all:
        replica.delay_s = 0.05
    tasks = [asyncio.create_task(replicas.pool.infer(paint(*[0] * rows))) for rows in (5, 1, 3, 1, 1, 1)]
    await settle()
    assert replicas.outstanding() == [5, 3, 4]
    await asyncio.gather(*tasks)
    assert replicas.outstanding() == [0, 0, 0]


async def test_a_lost_replica_costs_no_request_and_is_ejected_after_three_failures() -> None:
    replicas = await started()
    replicas.all[1].reachable = False
    answers = [reds(await replicas.pool.infer(paint(1, timeout_s=5))) for _ in range(12)]
    assert answers == [[144]] * 12
    assert replicas.healthy() == [True, False, True]
    assert replicas.pool.retries == 3
    assert replicas.pool.replicas()[1].last_error == "the fake backend is switched off"
    assert replicas.pool.replica_count == 2


async def test_what_is_under_way_on_a_replica_that_breaks_is_answered_by_another() -> None:
    replicas = await started("a:1,b:1")
    first = replicas.all[0]
    first.thawed.clear()
    tasks = [asyncio.create_task(replicas.pool.infer(paint(k))) for k in range(4)]
    await settle()
    first.reachable = False
    first.thawed.set()
    assert [reds(outputs) for outputs in await asyncio.gather(*tasks)] == [[128], [144], [160], [176]]
    assert replicas.pool.retries == 2


async def test_a_replica_that_fails_a_probe_is_ejected_and_comes_back_with_one_that_succeeds() -> None:
    replicas = await started()
    replicas.all[2].reachable = False
    await replicas.pool.check()
    assert replicas.healthy() == [True, True, False]
    replicas.all[2].reachable = True
    await replicas.pool.check()
    assert replicas.healthy() == [True, True, False]  # its back-off is not over
    await asyncio.sleep(replicas.pool.replicas()[2].ejected_for_s)
    await replicas.pool.check()
    assert replicas.healthy() == [True, True, True]


async def test_a_replica_that_fails_again_after_its_return_is_ejected_at_once_and_for_longer() -> None:
    replicas = await started("a:1,b:1")
    replicas.all[1].reachable = False
    await replicas.pool.check()
    first_s = replicas.pool.replicas()[1].ejected_for_s
    await asyncio.sleep(first_s)
    replicas.all[1].reachable = True
    await replicas.pool.check()
    replicas.all[1].reachable = False
    await replicas.pool.infer(paint(0))
    await replicas.pool.infer(paint(0))
    assert replicas.healthy() == [True, False]
    assert replicas.pool.replicas()[1].ejected_for_s == pytest.approx(2 * first_s, rel=0.1)


async def test_where_all_are_ejected_all_are_tried() -> None:
    replicas = await started("a:1,b:1")
    for replica in replicas.all:
        replica.reachable = False
    with pytest.raises(BackendUnreachable, match=r"a:1: the fake .* off; b:1: the fake .* off"):
        await replicas.pool.served()
    assert replicas.healthy() == [False, False]
    replicas.all[1].reachable = True
    assert reds(await replicas.pool.infer(paint(1))) == [144]
    assert replicas.healthy() == [False, True]


async def test_where_all_are_ejected_none_waits_for_its_back_off() -> None:
    replicas = await started("a:1,b:1")
    for replica in replicas.all:
        replica.reachable = False
    for _ in range(4):
        await replicas.pool.check()
    replicas.all[0].reachable = True
    await replicas.pool.check()
    assert replicas.healthy() == [True, False]


async def test_a_frozen_replica_s_requests_are_answered_by_another_as_soon_as_a_probe_fails() -> None:
    replicas = await started("a:1,b:1")
    replicas.all[0].thawed.clear()
    tasks = [asyncio.create_task(replicas.pool.infer(paint(k))) for k in range(2)]
    await settle()
    assert replicas.counts() == [1, 1]
    await replicas.pool.check()
    assert [reds(outputs) for outputs in await asyncio.gather(*tasks)] == [[128], [144]]
    assert replicas.counts() == [1, 2]
    assert replicas.pool.replicas()[0].last_error == "no answer to a probe within 0.1 s"
    assert replicas.outstanding() == [1, 0]  # what was given up is still under way there
    replicas.all[0].thawed.set()
    await settle()
    assert replicas.outstanding() == [0, 0]


async def test_a_replica_that_takes_far_longer_than_usual_loses_the_request_to_another() -> None:
    replicas = await started("a:1,b:1")
    await measured(replicas)
    replicas.all[0].held["paint"] = asyncio.Event()
    assert reds(await replicas.pool.infer(paint(1, timeout_s=30))) == [144]
    assert replicas.counts() == [1, 1]
    assert replicas.healthy() == [True, True]
    assert replicas.pool.replicas()[0].last_error == "no answer within 1.0 s"
    replicas.all[0].held["paint"].set()


async def test_without_another_replica_a_slow_one_is_waited_for() -> None:
    replicas = await started("a:1,b:1")
    await measured(replicas)
    replicas.all[1].reachable = False
    await replicas.pool.check()
    replicas.all[0].delay_s = 1.2
    assert reds(await replicas.pool.infer(paint(1, timeout_s=30))) == [144]
    assert replicas.counts() == [1, 0]


async def test_at_its_deadline_a_request_ends_and_the_replica_is_not_blamed() -> None:
    replicas = await started("a:1,b:1")
    await measured(replicas)
    replicas.all[0].held["paint"] = asyncio.Event()
    with pytest.raises(DeadlineExceeded, match="Triton at a:1 did not answer before the deadline"):
        await replicas.pool.infer(paint(1, timeout_s=0.05))
    assert replicas.pool.replicas()[0].last_error == ""
    assert replicas.pool.retries == 0
    replicas.all[0].held["paint"].set()


@pytest.mark.parametrize("safe", [True, False])
async def test_cancelling_reaches_the_replica(safe: bool) -> None:
    replicas = await started("a:1,b:1")
    replicas.all[1].cancels_safely = safe
    assert replicas.pool.cancels_safely == safe
    replicas.all[0].held["paint"] = asyncio.Event()
    task = asyncio.create_task(replicas.pool.infer(paint(1)))
    await settle()
    assert replicas.outstanding() == [1, 0]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert replicas.outstanding() == [0, 0]


async def test_an_inference_that_failed_is_not_repeated() -> None:
    replicas = await started()
    for replica in replicas.all:
        replica.failure = InferenceFailed("broken")
    with pytest.raises(InferenceFailed):
        await replicas.pool.infer(paint(1))
    assert sum(replicas.counts()) == 1
    assert replicas.outstanding() == [0, 0, 0]


async def test_one_batch_is_tried_on_three_replicas_at_most() -> None:
    replicas = await started("a:1,b:1,c:1,d:1,e:1")
    for replica in replicas.all:
        replica.failure = BackendUnreachable("gone")
    with pytest.raises(BackendUnreachable, match="gone"):
        await replicas.pool.infer(paint(1))
    assert sum(replicas.counts()) == 3


async def test_a_single_replica_s_failure_is_told_and_not_repeated() -> None:
    replicas = await started("a:1")
    replicas.all[0].failure = BackendUnreachable("gone")
    with pytest.raises(BackendUnreachable, match="gone"):
        await replicas.pool.infer(paint(1))
    assert replicas.counts() == [1]


async def test_retries_end_with_their_budget() -> None:
    replicas = await started("a:1,b:1")
    for replica in replicas.all:
        replica.failure = BackendUnreachable("gone")
    for _ in range(300):
        with pytest.raises(BackendUnreachable):
            await replicas.pool.infer(paint(1))
    assert 100 + 0.2 * 300 - 30 < replicas.pool.retries < 100 + 0.2 * 300 + 5
    assert sum(replicas.counts()) == 300 + replicas.pool.retries


async def test_a_version_is_asked_for_only_where_it_is_ready() -> None:
    replicas = await started()
    replicas.all[1].versions["paint"] = ("1", "2")
    await replicas.pool.served()
    for _ in range(5):
        await replicas.pool.infer(paint(1, version="2"))
    assert replicas.counts() == [0, 5, 0]
    with pytest.raises(ModelUnavailable, match="version 3 is ready on no replica"):
        await replicas.pool.infer(paint(1, version="3"))


async def test_a_version_is_ready_where_one_replica_has_it_and_the_share_tells_how_many_do() -> None:
    replicas = await started("a:1,b:1,c:1,d:1")
    replicas.all[3].reachable = False
    replicas.all[0].versions["paint"] = ("2",)
    replicas.all[1].versions["paint"] = ("1", "2")
    served = {(one.model, one.version): one for one in await replicas.pool.served()}
    assert served["paint", "1"] == Served("paint", "1", ready=True, share=2 / 3)
    assert served["paint", "2"] == Served("paint", "2", ready=True, share=2 / 3)
    assert served["meter", "1"] == Served("meter", "1", ready=True, share=1)


async def test_a_replica_that_lost_a_version_is_passed_over_from_then_on() -> None:
    replicas = await started("a:1,b:1")
    replicas.all[0].failure = ModelUnavailable("paint", "unloaded")
    answers = [reds(await replicas.pool.infer(paint(1))) for _ in range(3)]
    assert answers == [[144]] * 3
    assert replicas.counts() == [1, 3]
    assert replicas.healthy() == [True, True]


async def test_the_replica_with_the_newest_version_describes_the_model_and_others_when_it_cannot() -> None:
    replicas = await started()
    replicas.all[1].versions["paint"] = ("1", "2")
    await replicas.pool.served()
    await replicas.pool.config("paint")
    assert [replica.described for replica in replicas.all] == [[], ["paint"], []]
    replicas.all[1].reachable = False
    assert (await replicas.pool.config("paint")).max_batch_size == 16
    assert [len(replica.described) for replica in replicas.all] == [1, 2, 0]


async def test_a_model_is_loaded_on_every_replica_and_those_that_miss_it_are_named() -> None:
    replicas = await started()
    await replicas.pool.load("paint")
    assert [replica.loads for replica in replicas.all] == [["paint"]] * 3
    replicas.all[1].reachable = False
    with pytest.raises(BackendUnreachable, match="'paint' is not loaded everywhere: b:1: the fake"):
        await replicas.pool.load("paint")
    assert [len(replica.loads) for replica in replicas.all] == [2, 1, 2]


async def test_the_first_replica_that_refuses_a_model_ends_its_loading() -> None:
    replicas = await started()
    replicas.all[1].failure = ModelUnavailable("paint", "broken file")
    with pytest.raises(ModelUnavailable, match="broken file"):
        await replicas.pool.load("paint")
    assert [len(replica.loads) for replica in replicas.all] == [1, 0, 0]


async def test_closing_closes_every_replica() -> None:
    replicas = await started()
    await replicas.pool.close()
    assert [replica.closed for replica in replicas.all] == [True, True, True]


async def test_watching_keeps_looking() -> None:
    replicas = await started("a:1,b:1")
    replicas.all[1].reachable = False
    replicas.all[0].looked_at.clear()
    watch = asyncio.create_task(replicas.pool.watch(0.01))
    await asyncio.wait_for(replicas.all[0].looked_at.wait(), 5)
    await settle()
    assert replicas.healthy() == [True, False]
    watch.cancel()


def test_a_replica_is_made_without_a_loop_running() -> None:
    assert isinstance(Replicas("a:1").all[0], Replica)
