import { expect, it } from 'vitest';
import { isTag, isTagOf, tagOwner } from '../../../src/tree/rlimit-tag.ts';
import { Tagging } from '../../../src/tree/tagging.ts';

const INSTANCE = 'k3v9x2m8q4w7z1ba';

it('tries a limit with a tag of no owner, which no sweep takes for a stray', async () => {
  const tried: string[] = [];
  const tagging = new Tagging(
    {
      own: () => ({ locks: 'unlimited', rss: 'unlimited', rttime: 'unlimited' }),
      async probe(_limit, value) {
        tried.push(value);
        return undefined;
      },
      prefix: () => [],
    },
    INSTANCE,
  );
  await tagging.ready;
  expect(tried).toHaveLength(1);
  expect(tried.map(isTag)).toEqual([true]);
  expect(tried.map((value) => isTagOf(value, tagOwner(INSTANCE)))).toEqual([false]);
  const { tag = '' } = tagging.launch(1);
  expect(isTagOf(tag, tagOwner(INSTANCE))).toBe(true);
});
