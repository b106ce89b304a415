/** What the canary and its child process with tuf-js say to each other. */
import type { Answer } from './answer.ts';

/** To the child. */
export type ToStock =
  | { readonly start: { readonly folder: string; readonly paths: readonly string[] } }
  | { readonly fetched: number; readonly file: Uint8Array | 'not-served' | 'too-large' | 'unreachable' };

/** From the child. `refreshed` comes first, then one `answered` for each path, then `done`. */
export type FromStock =
  | { readonly fetch: number; readonly name: string; readonly maxBytes: number }
  | { readonly refreshed: { readonly refusal: string | undefined } }
  | { readonly answered: string; readonly answer: Answer }
  | { readonly done: true };
