"""Writing and reading the policy topics, on a real Kafka: one writer at a time, nothing lost by compaction or crashes."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.topics import kept_too_long
from shared.config import KafkaSettings
from shared.contracts.topics import POLICY_ACTIVATIONS, POLICY_VERSIONS
from shared.policy.distribution import actions, topics
from shared.policy.distribution.actions import NotDone
from tests.distribution.parts import NOW, SERVICE, activation, document, policy, publish


async def test_of_two_contents_for_one_version_one_is_published(kafka: KafkaSettings) -> None:
    first = await publish(kafka, document(1))
    with pytest.raises(NotDone, match=r"is published with another content"):
        await publish(kafka, document(1, tier=3))
    assert (await topics.read_all(kafka)).versions == {"test.policy/1": first}


async def test_many_writers_at_once_number_without_gaps_and_publish_one_content(kafka: KafkaSettings) -> None:
    async def write(tier: int) -> str:
        def decide(held: topics.Records) -> list[object]:
            version = actions.publish(held, policy(1, tier=tier), document(1, tier=tier), f"writer {tier}", NOW)
            return [*version, activation(len(held.of_service(SERVICE)) + 1, 1, reason=f"writer {tier}")]

        try:
            await topics.write(kafka, SERVICE, decide)  # type: ignore[arg-type]
        except NotDone:
            return "refused"
        except topics.Busy:
            return "busy"
        return "done"

    outcomes = await asyncio.gather(*(write(tier) for tier in range(2, 6)))
    held = await topics.read_all(kafka)
    written = held.of_service(SERVICE)
    assert outcomes.count("done") == len(written) == 1
    assert [a.seq for a in written] == [1]
    assert held.versions["test.policy/1"].by == written[0].reason


async def test_numbers_go_on_from_writer_to_writer(kafka: KafkaSettings) -> None:
    async def write(number: int) -> None:
        await topics.write(kafka, SERVICE, lambda held: [activation(len(held.of_service(SERVICE)) + 1, 1, reason=str(number))])

    results = await asyncio.gather(*(write(number) for number in range(3)), return_exceptions=True)
    done = [result for result in results if result is None]
    assert all(result is None or isinstance(result, topics.Busy) for result in results)
    assert [a.seq for a in (await topics.read_all(kafka)).of_service(SERVICE)] == list(range(1, len(done) + 1))


async def test_a_writer_that_died_in_the_middle_leaves_nothing_and_blocks_nobody(kafka: KafkaSettings) -> None:
    dead = AIOKafkaProducer(
        transactional_id=f"{kafka.topic_prefix}amends-policy-{SERVICE}", transaction_timeout_ms=60_000, **kafka.client_options()
    )  # fmt: skip
    await dead.start()
    await dead.begin_transaction()
    half = activation(1, 1, reason="half")
    await dead.send_and_wait(kafka.topic_prefix + POLICY_ACTIVATIONS, half.model_dump_json().encode(), key=half.key.encode())
    await topics.write(kafka, SERVICE, lambda held: [activation(len(held.of_service(SERVICE)) + 1, 1, reason="whole")])
    assert [a.reason for a in (await topics.read_all(kafka)).of_service(SERVICE)] == ["whole"]
    await dead.stop()


async def test_what_a_refusal_says_and_nothing_is_written(kafka: KafkaSettings) -> None:
    def refuse(held: topics.Records) -> list[object]:
        raise NotDone("no")

    with pytest.raises(NotDone, match=r"^no$"):
        await topics.write(kafka, SERVICE, refuse)  # type: ignore[arg-type]
    assert (await topics.read_all(kafka)).activations == {}


async def test_topics_that_are_not_there_are_named(cluster: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "READ_TIMEOUT_S", 2.0)
    nowhere = KafkaSettings.model_construct(bootstrap=cluster.kafka_bootstrap, topic_prefix="not-there-")  # type: ignore[attr-defined]
    with pytest.raises(topics.TopicsNotRead, match=r"amends topics create"):
        await topics.read_all(nowhere)


async def test_versions_and_activations_are_kept_for_ever(kafka: KafkaSettings) -> None:
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        names = [kafka.topic_prefix + topic for topic in (POLICY_VERSIONS, POLICY_ACTIVATIONS)]
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
        for answer in answers:
            for resource in answer.resources:
                settings = {entry[0]: entry[1] for entry in resource[4]}
                assert settings["cleanup.policy"] == "compact"
        described = await admin.describe_topics(names)
        assert [len(topic["partitions"]) for topic in described] == [1, 1], "one order for all"
    finally:
        await admin.close()


async def test_a_topic_that_keeps_what_customers_said_for_longer_is_named(kafka: KafkaSettings) -> None:
    """Somebody else made it, or changed it."""
    assert await kept_too_long(kafka) == []
    name, admin = f"{kafka.topic_prefix}complaints", AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        for settings, said in (
            ({"retention.ms": "-1"}, ["retention.ms is -1"]),
            ({"retention.ms": "604800000", "cleanup.policy": "compact"}, ["cleanup.policy is compact", "retention.ms is 604800000"]),
            ({"retention.ms": "86400000"}, []),
        ):
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, settings)])
            deadline = asyncio.get_running_loop().time() + 60
            while len(found := await kept_too_long(kafka)) != len(said):  # brokers learn of it by and by
                assert asyncio.get_running_loop().time() < deadline, found
                await asyncio.sleep(0.1)
            assert all(part in line and name in line for part, line in zip(said, found, strict=True))
    finally:
        await admin.close()
