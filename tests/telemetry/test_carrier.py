"""W3C trace context as text: what comes from outside is taken or left, never an error."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry import tracing
from shared.telemetry.tracing import Carrier

HEX = "0123456789abcdef"


def hexes(size: int) -> st.SearchStrategy[str]:
    return st.text(HEX, min_size=size, max_size=size).filter(lambda text: set(text) != {"0"})


valid = st.builds(lambda t, s, f: f"00-{t}-{s}-{f}", hexes(32), hexes(16), st.text(HEX, min_size=2, max_size=2))
# Near misses: a valid header with one part replaced, and anything at all.
outside = st.one_of(
    st.text(max_size=80),
    valid,
    st.builds(lambda text, at, char: text[:at] + char + text[at + 1 :], valid, st.integers(0, 54), st.characters()),
    st.builds(lambda text, tail: text + tail, valid, st.text(max_size=5)),
)


@given(valid)
def test_a_valid_header_is_kept_as_it_is(text: str) -> None:
    carrier = tracing.parse(text)
    assert carrier == Carrier(text, "")
    assert tracing.trace_id_of(carrier) == text.split("-")[1]
    assert tracing.span_id_of(carrier) == text.split("-")[2]
    assert tracing.is_sampled(carrier) == bool(int(text[-2:], 16) & 1)


@given(outside, st.text(max_size=600))
def test_anything_else_is_absent_and_never_an_error(traceparent: str, tracestate: str) -> None:
    carrier = tracing.parse(traceparent, tracestate)
    if carrier is not None:
        assert len(carrier.traceparent) == 55
        assert carrier.traceparent.isascii()
        assert carrier.traceparent.startswith("00-")
        assert carrier.tracestate in (tracestate, "")


@given(outside)
def test_every_function_takes_a_carrier_that_was_never_checked(text: str) -> None:
    carrier = Carrier(text)
    created = tracing.creation(carrier, "complaints", event_type="t", event_id="e", complaint_id="c")
    assert tracing.parse(created.traceparent) == created
    span = tracing.begin_process(carrier, "complaints", group="g", event_type="t", event_id="e", complaint_id="c")
    assert tracing.parse(span.carrier.traceparent) == span.carrier
    span.end("boom")
    with tracing.send("complaints", [carrier]):
        pass


def test_what_the_specification_forbids_is_absent() -> None:
    good = f"00-{'a' * 32}-{'b' * 16}-01"
    for bad in (
        None,
        "",
        good.upper(),
        good + "-x",
        f"00-{'0' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        good.replace("00-", "ff-"),
        f" {good}",
        f"{good}\n",
    ):
        assert tracing.parse(bad) is None, bad


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    ids = f"{'a' * 32}-{'b' * 16}-01"
    assert tracing.parse(f"cc-{ids}-something-new") == Carrier(f"00-{ids}")
    assert tracing.parse(f"cc-{ids}") == Carrier(f"00-{ids}")
    assert tracing.parse(f"cc-{ids}x") is None


def test_a_tracestate_that_cannot_be_a_header_is_dropped_alone() -> None:
    text = f"00-{'a' * 32}-{'b' * 16}-01"
    assert tracing.parse(text, "vendor=1,other=2") == Carrier(text, "vendor=1,other=2")
    assert tracing.parse(text, "a=\r\nset-cookie: x") == Carrier(text)
    assert tracing.parse(text, "a=" + "b" * 600) == Carrier(text)
