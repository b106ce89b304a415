/** A process that commits `count` times to a folder store, each time on what it finds; for the store's tests. */
import { FolderStore } from '@mandate/client';
import { sha256Of } from '@mandate/metadata';

const [folder = '', name = '', count = '0'] = process.argv.slice(2);
const store = new FolderStore(folder);
for (let done = 0; done < Number(count);) {
  const { revision, roots } = await store.load();
  const content = Buffer.from(`${name} ${done} `.repeat(2000));
  const change = {
    anchored: undefined,
    root: content,
    timestamp: content,
    snapshot: content,
    roots: new Map([...roots, [revision + 1, sha256Of(content)]]),
  };
  if ((await store.commit(revision, change)) !== undefined) done += 1;
}
