/** Somebody at a browser without scripts: follows redirects, keeps cookies, fills in the forms that they meet. */

export interface VisitorOptions {
  /** What goes into the fields of forms, by name. */
  readonly answers: Readonly<Record<string, string>>;
  /** May change an address before it is asked for. */
  readonly onVisit?: (url: URL) => void;
}

interface Cookie {
  readonly name: string;
  readonly value: string;
  readonly path: string;
}

const maxPages = 20;

export class Visitor {
  readonly #options: VisitorOptions;
  readonly #cookies = new Map<string, Cookie>();

  constructor(options: VisitorOptions) {
    this.#options = options;
  }

  /** @returns the last page, its address and status */
  async open(address: string): Promise<{ url: URL; status: number; text: string }> {
    let url = new URL(address);
    let form: URLSearchParams | undefined;
    const filled = new Set<string>();
    for (let page = 0; page < maxPages; page += 1) {
      this.#options.onVisit?.(url);
      const response = await fetch(url, {
        method: form === undefined ? 'GET' : 'POST',
        redirect: 'manual',
        headers: { cookie: this.#cookiesFor(url) },
        ...(form === undefined ? {} : { body: form }),
      });
      this.#keep(response.headers.getSetCookie());
      const text = await response.text();
      const location = response.headers.get('location');
      const next = location === null ? formOf(text, this.#options.answers) : undefined;
      // A form that comes again was not what they could fill in.
      const known = next && `${next.action} ${[...next.fields.keys()].join(' ')}`;
      if (location === null && (known === undefined || filled.has(known)))
        return { url, status: response.status, text };
      if (known !== undefined) filled.add(known);
      url = new URL(location ?? next?.action ?? '', url);
      form = next?.fields;
    }
    throw new Error(`no end of pages at ${url.href}`);
  }

  #cookiesFor({ pathname }: URL): string {
    return [...this.#cookies.values()]
      .filter(({ path }) => pathname.startsWith(path))
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
  }

  #keep(lines: readonly string[]): void {
    for (const line of lines) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      const path = /; *path=([^;]*)/i.exec(line)?.[1] ?? '/';
      if (value === '') this.#cookies.delete(`${name} ${path}`);
      else this.#cookies.set(`${name} ${path}`, { name, value, path });
    }
  }
}

/** The first form of a page, filled in; undefined where there is none, or nothing is known to say to it. */
function formOf(
  page: string,
  answers: VisitorOptions['answers'],
): { action: string; fields: URLSearchParams } | undefined {
  const action = /<form[^>]* action="([^"]*)"/.exec(page)?.[1];
  if (action === undefined) return undefined;
  const fields = new URLSearchParams();
  for (const [input] of page.matchAll(/<input[^>]*>/g)) {
    const name = / name="([^"]*)"/.exec(input)?.[1] ?? '';
    const value = answers[name] ?? / value="([^"]*)"/.exec(input)?.[1];
    if (value === undefined) return undefined;
    fields.append(name, value);
  }
  return { action: action.replaceAll('&amp;', '&'), fields };
}
