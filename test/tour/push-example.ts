/** `npm run push-example <reference> [content]`: pushes a small image, for trying things out. */
import { pushImage } from '../support/image.ts';

const [reference, content = 'hello'] = process.argv.slice(2);
if (reference === undefined) {
  process.stderr.write('usage: npm run push-example <reference> [content]\n');
  process.exitCode = 2;
} else {
  process.stdout.write(`pushed ${reference}: ${await pushImage(reference, content)}\n`);
}
