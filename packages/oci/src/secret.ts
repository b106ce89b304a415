/**
 * A value that no log, error or JSON shows by accident; only {@link Secret.reveal} gives it out. The private field keeps
 * it from `util.inspect` too.
 */

const hidden = '[secret]';

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return hidden;
  }

  toJSON(): string {
    return hidden;
  }
}
