/** Path patterns arranged by segment, so that a look-up costs the depth of the path and not the number of patterns. */
import { parseSegment, splitPattern, type SegmentMatcher } from './pattern.ts';

/** Parts are made when first used: most nodes are leaves. */
interface Node {
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
  return { literals: undefined, any: undefined, wild: undefined, here: undefined };
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

export class PathIndex {
  readonly #root = newNode();

  /** Adds `value` under a pattern. @throws MetadataError MALFORMED/SHAPE for an empty pattern. */
  add(pattern: string, value: number): void {
    let node = this.#root;
    for (const segment of splitPattern(pattern)) node = nextNode(node, parseSegment(segment), segment);
    if (node.here === undefined) node.here = [value];
    else node.here.push(value);
  }

  /** Values whose pattern matches the path, in no order, repeated where several patterns match. */
  find(path: string): number[] {
    let nodes = [this.#root];
    for (const segment of path.split('/')) {
      const next: Node[] = [];
      for (const node of nodes) {
        const literal = node.literals?.get(segment);
        if (literal !== undefined) next.push(literal);
        if (node.any !== undefined) next.push(node.any);
        if (node.wild === undefined) continue;
        for (const wild of node.wild.values()) if (wild.matcher.matches(segment)) next.push(wild.node);
      }
      if (next.length === 0) return [];
      nodes = next;
    }
    return nodes.flatMap((node) => node.here ?? []);
  }
}
