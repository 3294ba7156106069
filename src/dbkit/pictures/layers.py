"""Layers of a graph: what others refer to is on the left, and what is connected is near each other."""

from collections.abc import Sequence
from statistics import mean

Edges = Sequence[tuple[int, int]]
"""From the node that refers to the one that is referred to; nodes are numbers from 0."""
SWEEPS = 8


def find_components(count: int, edges: Edges) -> list[list[int]]:
    """Return the nodes that are connected with each other, each sorted; the largest component first."""
    neighbours = _neighbours(count, edges)
    seen: set[int] = set()
    found = []
    for start in range(count):
        if start in seen:
            continue
        component, ahead = [], [start]
        seen.add(start)
        while ahead:
            node = ahead.pop()
            component.append(node)
            new = [each for each in neighbours[node] if each not in seen]
            seen.update(new)
            ahead += new
        found.append(sorted(component))
    return sorted(found, key=lambda each: (-len(each), each))


def arrange_layers(count: int, edges: Edges) -> list[list[int]]:
    """Return the nodes by layer, each in an order in which few edges cross.

    An edge leads to an earlier layer, but for those that close a cycle.
    """
    ranks = _rank(count, edges)
    layers: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for node, rank in enumerate(ranks):
        layers[rank].append(node)
    layers = [layer for layer in layers if layer]
    neighbours = _neighbours(count, edges)
    for number in range(SWEEPS):
        places = {node: (place + 0.5) / len(layer) for layer in layers for place, node in enumerate(layer)}
        for layer in layers if number % 2 == 0 else reversed(layers):
            layer.sort(key=lambda node: (mean([places[each] for each in neighbours[node]] or [places[node]]), node))
            places |= {node: (place + 0.5) / len(layer) for place, node in enumerate(layer)}
    return layers


def _neighbours(count: int, edges: Edges) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        if source != target:
            found[source].append(target)
            found[target].append(source)
    return found


def _rank(count: int, edges: Edges) -> list[int]:
    """Return the layer of each node: behind all that it refers to, without the edges that close a cycle."""
    targets: list[list[int]] = [[] for _ in range(count)]
    for source, target in dict.fromkeys(edges):
        if source != target:
            targets[source].append(target)
    ranks = [-1] * count
    order: list[int] = []
    for start in range(count):
        # depth first, without recursion: a chain of tables can be longer than Python's stack
        path = [(start, iter(targets[start]))] if ranks[start] < 0 else []
        on_path = {start}
        while path:
            node, rest = path[-1]
            ahead = next((each for each in rest if ranks[each] < 0 and each not in on_path), None)
            if ahead is not None:
                on_path.add(ahead)
                path.append((ahead, iter(targets[ahead])))
                continue
            ranks[node] = 1 + max((ranks[each] for each in targets[node]), default=-1)
            order.append(node)
            on_path.discard(node)
            path.pop()
    # what refers to nothing goes beside the first node that refers to it
    sources: list[list[int]] = [[] for _ in range(count)]
    for source, linked in enumerate(targets):
        for target in linked:
            sources[target].append(source)
    for node in order:
        behind = [ranks[each] for each in sources[node] if ranks[each] > ranks[node]]
        if not targets[node] and behind:
            ranks[node] = min(behind) - 1
    return ranks
