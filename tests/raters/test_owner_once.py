"""Forms sent twice, at once and one after the other."""

import asyncio

import pytest

from veneer.raters.server.owner_once import Once, SentBefore


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_double_click_makes_one_thing_and_shows_it_twice():
    made = []

    async def work():
        made.append(len(made))
        await asyncio.sleep(0.01)
        return f"links {len(made)}"

    async def twice():
        once = Once()
        answers = await asyncio.gather(once.made("a", work), once.made("a", work))
        return [*answers, await once.made("a", work), await once.made("b", work)]

    assert asyncio.run(twice()) == ["links 1", "links 1", "links 1", "links 2"]
    assert len(made) == 2


def test_links_are_not_shown_again_after_a_minute_nor_made_again():
    clock = Clock()

    async def work():
        return "links"

    async def later():
        once = Once(clock)
        await once.made("a", work)
        clock.now = 61.0
        with pytest.raises(SentBefore):
            await once.made("a", work)
        assert "links" not in repr(vars(once))

    asyncio.run(later())


def test_what_failed_can_be_sent_again():
    tries = []

    async def work():
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("the store is away")
        return "links"

    async def again():
        once = Once()
        with pytest.raises(RuntimeError):
            await once.made("a", work)
        return await once.made("a", work)

    assert asyncio.run(again()) == "links"


def test_a_request_that_is_given_up_does_not_stop_the_work():
    done = []

    async def work():
        await asyncio.sleep(0.02)
        done.append(1)
        return "links"

    async def give_up():
        once = Once()
        first = asyncio.ensure_future(once.made("a", work))
        await asyncio.sleep(0.001)
        first.cancel()
        return await once.made("a", work)

    assert asyncio.run(give_up()) == "links"
    assert done == [1]
