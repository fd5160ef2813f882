"""Memory goes back to the system when much of it was needed, and not each time."""

from netstat_cli.collector.memory import WORTH_IT, Tide, give_back


def test_it_is_given_back_once_after_much_was_held() -> None:
    """When little is left of what was much; not while it is held, and not for what is little anyway."""
    tide = Tide()
    told = [0, WORTH_IT - 1, 0, 2 * WORTH_IT, WORTH_IT, WORTH_IT // 2, 0, WORTH_IT // 2, 0]
    assert [5] == [number for number, held in enumerate(told) if tide.has_ebbed(held)]


def test_giving_back_needs_nothing() -> None:
    """It may be done at any time, as often as one likes."""
    give_back()
    give_back()
