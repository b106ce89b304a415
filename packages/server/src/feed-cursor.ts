/** Cursors: `<epoch>-<number>`, where the epoch is that of the database's feed and the number counts this feed's events. */

export interface FeedCursor {
  readonly epoch: string;
  readonly number: number;
}

const form = /^([0-9a-f]{8})-(0|[1-9][0-9]{0,14})$/;

/** Undefined for what is no cursor. */
export function parseCursor(text: string): FeedCursor | undefined {
  const [, epoch, number] = form.exec(text) ?? [];
  return epoch === undefined ? undefined : { epoch, number: Number(number) };
}

export function encodeCursor({ epoch, number }: FeedCursor): string {
  return `${epoch}-${number}`;
}
