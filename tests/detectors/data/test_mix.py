"""The order of the images: shares hold in every prefix and batch, and nobody needs the past to know it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.data.mix import Mix, complete_shares, parse_shares, realised
from support.errors import raises


@st.composite
def mixes(draw: st.DrawFn, least: int = 1, most: int = 5) -> Mix:
    weights = draw(st.lists(st.integers(0, 100), min_size=least, max_size=most).filter(any))
    counts = draw(st.lists(st.integers(1, 9), min_size=len(weights), max_size=len(weights)))
    return Mix(tuple(counts), tuple(weight / sum(weights) for weight in weights), draw(st.integers(0, 9)))


def sources_of(mix: Mix, start: int, stop: int) -> np.ndarray:
    return np.array([draw.source for draw in mix.draws(start, stop)])


@given(mix=mixes())
def test_shares_hold_in_every_prefix(mix: Mix) -> None:
    sources = sources_of(mix, 0, 300)
    # Each source but the last rounds once, and hands its rounding on to those after it.
    far = 0.5 * max(sum(share > 0 for share in mix.shares) - 1, 1)
    for source, share in enumerate(mix.shares):
        drawn = np.cumsum(sources == source)
        assert np.abs(drawn - share * np.arange(1, 301)).max() <= far + 1e-6


@given(mix=mixes(2), batch=st.integers(1, 32))
def test_shares_hold_in_every_batch(mix: Mix, batch: int) -> None:
    # Both ends of a batch are ends of prefixes, each off by half as much.
    far = max(sum(share > 0 for share in mix.shares) - 1, 1)
    for start in range(0, 10 * batch, batch):
        drawn = Counter(sources_of(mix, start, start + batch))
        for source, share in enumerate(mix.shares):
            assert abs(drawn[source] - share * batch) <= far + 1e-6


@given(mix=mixes(), start=st.integers(0, 200), length=st.integers(0, 50))
def test_a_start_anywhere_equals_the_way_there(mix: Mix, start: int, length: int) -> None:
    assert list(mix.draws(start, start + length)) == list(mix.draws(0, start + length))[start:]


@given(mix=mixes(), stop=st.integers(0, 300))
def test_images_of_a_source_are_used_equally_often(mix: Mix, stop: int) -> None:
    drawn = list(mix.draws(0, stop))
    assert [draw.position for draw in drawn] == list(range(stop))
    for source, count in enumerate(mix.counts):
        used = Counter(draw.image for draw in drawn if draw.source == source)
        times = [used[image] for image in range(count)]
        assert max(times) - min(times) <= 1
        assert set(used) <= set(range(count))


@given(mix=mixes(), start=st.integers(0, 10**10))
@settings(max_examples=30)
def test_no_source_of_share_zero_is_ever_drawn(mix: Mix, start: int) -> None:
    drawn = set(sources_of(mix, start, start + 64))
    assert all(mix.shares[source] > 0 for source in drawn)


def test_shares_that_do_not_quite_sum_to_1_give_nothing_to_a_source_without_images() -> None:
    shares = complete_shares((("a", 0.333333), ("b", 0.6666665), ("c", 0.0)), ("a", "b", "c"))
    assert sum(shares) == pytest.approx(1, abs=1e-15)
    # By the shares as given, what is missing would add up to the first draw of c near position a million.
    for given_shares in (shares, (0.333333, 0.6666665, 0.0)):
        assert set(sources_of(Mix((3, 3, 0), given_shares, 0), 995_000, 1_005_000)) == {0, 1}


def test_a_fifth_real_is_a_fifth_of_every_five() -> None:
    # The order of the sources is synthetic, then real.
    sources = sources_of(Mix((1000, 3), (0.8, 0.2), 0), 0, 5000)
    assert (sources.reshape(-1, 5).sum(axis=1) == 1).all()


def test_orders_differ_between_turns_and_seeds() -> None:
    first, second = (tuple(d.image for d in Mix((50,), (1.0,), 0).draws(a, a + 50)) for a in (0, 50))
    other = tuple(draw.image for draw in Mix((50,), (1.0,), 1).draws(0, 50))
    assert len({first, second, other}) == 3 and sorted(first) == sorted(second) == list(range(50))


@pytest.mark.parametrize(
    ("counts", "shares"),
    [
        ((1, 1), (0.5, 0.4)),  # too little
        ((1,), (0.5, 0.5)),  # a share without a source
        ((1, 0), (0.5, 0.5)),  # a share without images
        ((1, 1), (1.5, -0.5)),  # sums to 1 all the same
    ],
)
def test_impossible_mixes_are_refused(counts: tuple[int, ...], shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="share"):
        Mix(counts, shares, 0)


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("real:0.2", (("real", 0.2),)),
        ("real:0.2,scatter:0.3", (("real", 0.2), ("scatter", 0.3))),
        (" real : 0.2 , scatter:.3", (("real", 0.2), ("scatter", 0.3))),  # blanks
        ("real:0", (("real", 0.0),)),
        ("a:1", (("a", 1.0),)),
    ],
)
def test_shares_are_parsed(text: str, shares: object) -> None:
    assert parse_shares(text) == shares


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not NAME:SHARE"),
        ("real", "not NAME:SHARE"),
        (":0.2", "not NAME:SHARE"),
        ("real:0.2,", "not NAME:SHARE"),
        ("real=0.2", "not NAME:SHARE"),
        ("real:a fifth", "'a fifth' is not a share of real"),
        ("real:", "'' is not a share of real"),
        ("real:20%", "'20%' is not a share"),
        ("real:20", "between 0 and 1"),
        ("real:-0.1", "between 0 and 1"),
        ("real:nan", "between 0 and 1"),
        ("real:inf", "between 0 and 1"),
        ("real:0.2,real:0.3", "given twice"),
        ("a:0.7,b:0.7", "sum to 1.4"),
    ],
)
def test_what_is_no_mix_is_told(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_shares(text)


@given(text=st.text(max_size=20))
def test_any_text_is_shares_or_a_value_error(text: str) -> None:
    try:
        shares = parse_shares(text)
    except ValueError:
        return
    assert sum(share for _, share in shares) <= 1 + 1e-6


@pytest.mark.parametrize(
    ("shares", "sources", "completed"),
    [
        ((("real", 0.2),), ("synthetic", "real"), (0.8, 0.2)),
        ((("real", 0.2), ("b", 0.3)), ("a", "b", "real"), (0.5, 0.3, 0.2)),
        ((), ("synthetic",), (1.0,)),
        ((("real", 0.0),), ("synthetic", "real"), (1.0, 0.0)),
        ((("a", 0.4), ("b", 0.6)), ("a", "b"), (0.4, 0.6)),
    ],
)
def test_the_rest_goes_to_the_unnamed_source(shares: object, sources: tuple[str, ...], completed: object) -> None:
    assert complete_shares(shares, sources) == pytest.approx(completed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shares", "sources", "code", "message"),
    [
        ((("reel", 0.2),), ("synthetic", "real"), "unknown-name", "did you mean 'real'"),
        ((), ("a", "b"), "mix-invalid", ""),  # two without a share
        ((("a", 0.5),), ("a", "b", "real"), "mix-invalid", ""),
        ((("a", 0.5), ("b", 0.4)), ("a", "b"), "mix-invalid", ""),  # sums to 0.9
        ((("real", 1.0),), ("synthetic", "real"), "mix-invalid", ""),  # nothing left for synthetic
    ],
)
def test_shares_that_do_not_tell_enough(shares: object, sources: tuple[str, ...], code: str, message: str) -> None:
    with raises(code, hint=message):
        complete_shares(shares, sources)  # type: ignore[arg-type]


def test_the_realised_mix_in_words() -> None:
    assert realised({"synthetic": 800, "real": 200}) == "synthetic 800 (80.0%), real 200 (20.0%)"
    assert realised({"real": 0}) == "real 0 (0.0%)"
