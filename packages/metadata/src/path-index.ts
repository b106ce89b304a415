/**
 * Path patterns arranged by segment, so that a look-up costs the depth of the path and not the number of patterns. A
 * node is made when a look-up first comes by: what a hostile file can make us allocate is bounded by its own size.
 */
import { checkPattern, parseSegment, type SegmentMatcher } from './pattern.ts';

/** A pattern on its way down: `from` is where its next segment starts, behind its end where none is left. */
interface Pending {
  readonly pattern: string;
  readonly from: number;
  readonly value: number;
}

interface Node {
  /** What was added and not sorted in yet. */
  pending: Pending[];
  literals: Map<string, Node> | undefined;
  any: Node | undefined;
  /** Segments with wildcards in them, by their text. */
  wild:
    | Map<string, { readonly matcher: { matches(segment: string): boolean }; readonly node: Node }>
    | undefined;
  /** What ends here, in the order added. */
  here: number[] | undefined;
}

function newNode(): Node {
  return { pending: [], literals: undefined, any: undefined, wild: undefined, here: undefined };
}

function nextNode(node: Node, matcher: SegmentMatcher, text: string): Node {
  if ('any' in matcher) return (node.any ??= newNode());
  if ('literal' in matcher) {
    node.literals ??= new Map();
    let next = node.literals.get(matcher.literal);
    if (next === undefined) node.literals.set(matcher.literal, (next = newNode()));
    return next;
  }
  node.wild ??= new Map();
  let next = node.wild.get(text);
  if (next === undefined) node.wild.set(text, (next = { matcher, node: newNode() }));
  return next.node;
}

/** Moves what is pending one segment down. */
function sortIn(node: Node): void {
  if (node.pending.length === 0) return;
  const { pending } = node;
  node.pending = [];
  for (const { pattern, from, value } of pending) {
    if (from > pattern.length) {
      (node.here ??= []).push(value);
      continue;
    }
    const slash = pattern.indexOf('/', from);
    const end = slash < 0 ? pattern.length : slash;
    const segment = pattern.slice(from, end);
    nextNode(node, parseSegment(segment), segment).pending.push({ pattern, from: end + 1, value });
  }
}

export class PathIndex {
  readonly #root = newNode();

  /** Adds `value` under a pattern. @throws MetadataError MALFORMED/SHAPE for an empty pattern. */
  add(pattern: string, value: number): void {
    checkPattern(pattern);
    this.#root.pending.push({ pattern, from: 0, value });
  }

  /** Values whose pattern matches the path, in no order, repeated where several patterns match. */
  find(path: string): number[] {
    let nodes = [this.#root];
    for (const segment of path.split('/')) {
      const next: Node[] = [];
      for (const node of nodes) {
        sortIn(node);
        const literal = node.literals?.get(segment);
        if (literal !== undefined) next.push(literal);
        if (node.any !== undefined) next.push(node.any);
        if (node.wild === undefined) continue;
        for (const wild of node.wild.values()) if (wild.matcher.matches(segment)) next.push(wild.node);
      }
      if (next.length === 0) return [];
      nodes = next;
    }
    for (const node of nodes) sortIn(node);
    return nodes.flatMap((node) => node.here ?? []);
  }
}
