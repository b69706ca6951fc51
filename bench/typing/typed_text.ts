/** A long file, so that what takes time with the length of a document shows, and a place in its middle. */
export function longFile(functions: number): { text: string; line: number } {
  const parts = Array.from({ length: functions }, (_, index) => [
    `def total_${index}(orders, rate=${index}):`,
    `    """The sum of the orders of month ${index}, with tax."""`,
    "    total = 0",
    "    for order in orders:",
    `        if order.month == ${index % 12} and not order.is_cancelled:`,
    "            total += order.price * order.count",
    "    return total * (1 + rate / 100)",
    "",
    "",
  ]);
  const before = parts.slice(0, functions >> 1).flat();
  return { text: [...before, "", ...parts.slice(functions >> 1).flat()].join("\n"), line: before.length + 1 };
}

/** What is typed there. */
export const typedText = `def orders_of(customer, orders):
    """The orders of a customer, the latest first."""
    found = [order for order in orders if order.customer == customer]
    found.sort(key=lambda order: order.date, reverse=True)
    return found

def average_price(orders):
    """What an order costs on average; None without any."""
    if not orders:
        return None
    total = sum(order.price * order.count for order in orders)
    return total / len(orders)

class Inventory:
    """Counts of products, by name."""

    def __init__(self, counts):
        self.counts = dict(counts)
        self.reserved = {}

    def available(self, name):
        return self.counts.get(name, 0) - self.reserved.get(name, 0)

    def reserve(self, name, count):
        if count > self.available(name):
            raise ValueError(f"only {self.available(name)} of {name} are left")
        self.reserved[name] = self.reserved.get(name, 0) + count
        return self.available(name)

`;
