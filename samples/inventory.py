"""A small shop's stock: something to try completions on."""

from dataclasses import dataclass


@dataclass
class Item:
    name: str
    price: float
    stock: int


def total_value(items: list[Item]) -> float:
    """What everything in stock is worth."""
    return sum(item.price * item.stock for item in items)


def reorder(items: list[Item], threshold: int = 5) -> list[str]:
    """Names of the items of which fewer than `threshold` are left, fewest first."""
    short = [item for item in items if item.stock < threshold]
    return [item.name for item in sorted(short, key=lambda item: item.stock)]
