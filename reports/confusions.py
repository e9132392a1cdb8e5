"""What front members take for what, in words: for the page and for report.md."""

from collections.abc import Sequence

from reports import text
from reports.records import Member
from search_spaces import Confusion

MOST_CLASSES = 8
"""That are listed of a network: those of the lowest recall."""

EXPLAINED = (
    "Recall: the share of a class's images that are called so. Balanced accuracy: the mean recall; "
    "answers that do not depend on the image have {} %."
)


def known(members: Sequence[Member]) -> list[tuple[Member, Confusion]]:
    """Those whose cards say it of the search split; cards of earlier versions do not."""
    found = [(member, member.deployed.search.confusion) for member in members]
    return [(member, confusion) for member, confusion in found if confusion is not None]


def majority(member: Member, confusion: Confusion) -> str:
    """ "The most frequent class, ok, has 94.3 % of the images of the search split."."""
    share = confusion.labels[confusion.majority] / sum(confusion.labels)
    return (
        f"The most frequent class, {name_of(member, confusion.majority)}, has "
        f"{text.percent(share)} % of the images of the search split: always answering it gets "
        f"that accuracy. {EXPLAINED.format(text.percent(1 / len(confusion.recalls)))}"
    )


def balanced(member: Member, confusion: Confusion) -> str:
    """ "balanced accuracy 75.0 % (test 70.1 %)"."""
    test = member.deployed.test.confusion
    beside = f" (test {text.percent(test.balanced_accuracy)} %)" if test is not None else ""
    return f"balanced accuracy {text.percent(confusion.balanced_accuracy)} %{beside}"


def worst(confusion: Confusion) -> list[int]:
    """Classes by recall, the lowest first, then the most frequent."""
    recalls, labels = confusion.recalls, confusion.labels
    return sorted(recalls, key=lambda number: (recalls[number], -labels[number]))[:MOST_CLASSES]


def taken_for(member: Member, confusion: Confusion, number: int) -> str:
    """What a class's images are most often called instead; "-" if that is not known."""
    return next(
        (
            f"{name_of(member, answer)} ({images})"
            for label, answer, images in confusion.confused
            if label == number
        ),
        text.MISSING,
    )


def line(member: Member, confusion: Confusion) -> str:
    """The worst classes of a network, for report.md."""
    classes = [
        f"{name_of(member, number)} {text.percent(confusion.recalls[number])} % of "
        f"{confusion.labels[number]}, taken for {taken_for(member, confusion, number)}"
        for number in worst(confusion)
        if confusion.right[number] < confusion.labels[number]
    ]
    lowest = f"; lowest recalls: {'; '.join(classes)}" if classes else ""
    return f"{member.key}: {balanced(member, confusion)}{lowest}"


def name_of(member: Member, number: int) -> str:
    """Of a class, or its number if the card has no name for it."""
    return member.classes[number] if number < len(member.classes) else str(number)
