/** Every test that docs/threat-model.md names is there, under that title. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';

const page = readFileSync(new URL('../../docs/threat-model.md', import.meta.url), 'utf8');

/** Titles of a test file; what a template fills in stands for any text. */
function titlesOf(source: string): RegExp[] {
  const titles = source.matchAll(/\b(?:it|describe\w*)\(\s*(['"`])((?:\\.|(?!\1).)+)\1/g);
  return [...titles].map(([, quote, text = '']) => {
    const plain = text.replaceAll(/\\(.)/g, '$1');
    const literals = quote === '`' ? plain.split(/\$\{[^}]*\}/) : [plain];
    return new RegExp(
      `^${literals.map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('.+')}$`,
    );
  });
}

interface Row {
  readonly text: string;
  readonly shown: string;
}

const rows: readonly Row[] = [...page.matchAll(/^\| (.*) \|$/gm)]
  .map(([, row = '']) => ({ text: row, shown: row.split(' | ').at(-1) ?? '' }))
  .filter(({ shown }) => shown !== 'shown by');

const named = rows.flatMap(({ shown }) =>
  [...shown.matchAll(/`(test\/[^`]+)` "(.+?)"(?=<br>|$)/g)].map(([, file = '', title = '']) => ({
    file,
    title,
  })),
);

describe('docs: threat model', () => {
  it('says for every row which test shows it, or that none does', () => {
    assert.ok(rows.length > 40);
    for (const { text, shown } of rows)
      assert.ok(shown.startsWith('`test/') || shown.startsWith('none'), text);
    const mentioned = [...page.matchAll(/`test\/[^`]*\.test\.ts`/g)].length;
    assert.equal(named.length, mentioned, 'each with a title');
  });

  it('names tests that there are', () => {
    const absent = named.filter(({ file, title }) => {
      const path = new URL(`../../${file}`, import.meta.url);
      if (!existsSync(path)) return true;
      return !titlesOf(readFileSync(path, 'utf8')).some((pattern) => pattern.test(title));
    });
    assert.deepEqual(absent, []);
  });
});
