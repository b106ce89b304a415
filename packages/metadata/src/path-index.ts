/** Path patterns arranged by segment, so that a look-up costs the depth of the path and not the number of patterns. */
import { parsePattern } from './pattern.ts';

interface Node {
  readonly literals: Map<string, Node>;
  any: Node | undefined;
  /** Segments with wildcards in them, by their text. */
  readonly wild: Map<
    string,
    { readonly matcher: { matches(segment: string): boolean }; readonly node: Node }
  >;
  /** What ends here, in the order added. */
  readonly here: number[];
}

function newNode(): Node {
  return { literals: new Map(), any: undefined, wild: new Map(), here: [] };
}

export class PathIndex {
  readonly #root = newNode();

  /** Adds `value` under a pattern. @throws MetadataError MALFORMED/SHAPE for an empty pattern. */
  add(pattern: string, value: number): void {
    const texts = pattern.split('/');
    let node = this.#root;
    for (const [i, matcher] of parsePattern(pattern).entries()) {
      if ('literal' in matcher) {
        let next = node.literals.get(matcher.literal);
        if (next === undefined) node.literals.set(matcher.literal, (next = newNode()));
        node = next;
      } else if ('any' in matcher) {
        node = node.any ??= newNode();
      } else {
        const text = texts[i] as string;
        let next = node.wild.get(text);
        if (next === undefined) node.wild.set(text, (next = { matcher, node: newNode() }));
        node = next.node;
      }
    }
    node.here.push(value);
  }

  /** Values whose pattern matches the path, in no order, repeated where several patterns match. */
  find(path: string): number[] {
    const segments = path.split('/');
    let nodes = [this.#root];
    for (const segment of segments) {
      const next: Node[] = [];
      for (const node of nodes) {
        const literal = node.literals.get(segment);
        if (literal !== undefined) next.push(literal);
        if (node.any !== undefined) next.push(node.any);
        for (const wild of node.wild.values()) if (wild.matcher.matches(segment)) next.push(wild.node);
      }
      if (next.length === 0) return [];
      nodes = next;
    }
    return nodes.flatMap((node) => node.here);
  }
}
