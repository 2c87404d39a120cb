import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import { redactSecrets, secretValues } from '../../../src/process/redaction.ts';
import { STDERR_TAIL_BYTES, StderrTail } from '../../../src/process/stderr-tail.ts';

const RUNS = runs(500);
const KIB = 1024;

const tailOf = (...chunks: (Uint8Array | string)[]) => {
  const tail = new StderrTail();
  for (const chunk of chunks) tail.push(chunk);
  return tail;
};

/** Cuts `bytes` into chunks of the given sizes, over and over. */
function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = sizes[chunks.length % sizes.length] ?? 1;
    chunks.push(bytes.slice(at, at + size));
    at += size;
  }
  return chunks;
}

describe('StderrTail', () => {
  it('shows at most 8 KiB', () => {
    expect(STDERR_TAIL_BYTES).toBe(8192);
  });

  it('returns everything while that is little', () => {
    expect(new StderrTail().text()).toBe('');
    expect(tailOf('').text()).toBe('');
    expect(tailOf('a\n', Buffer.from('b'), 'c').text()).toBe('a\nbc');
    expect(tailOf('x'.repeat(STDERR_TAIL_BYTES)).text()).toBe('x'.repeat(STDERR_TAIL_BYTES));
  });

  it('starts with a line once it had to be cut', () => {
    const lines = Array.from({ length: 5000 }, (_, index) => `line ${index}\n`);
    const text = tailOf(...lines).text();
    expect(text).toMatch(/^line \d+\n/);
    expect(lines.join('').endsWith(`\n${text}`)).toBe(true);
    expect(text.length).toBeLessThanOrEqual(STDERR_TAIL_BYTES);
    expect(text.length).toBeGreaterThan(STDERR_TAIL_BYTES - 'line 4999\n'.length);
  });

  it('loses no whole line when the cut falls between two', () => {
    const line = `${'x'.repeat(127)}\n`;
    expect(tailOf(line.repeat(1000)).text()).toBe(line.repeat(STDERR_TAIL_BYTES / line.length));
  });

  it.each(['', '\n', '\r\n\n'])('shows the end of a single giant line (ended by %j)', (ending) => {
    const giant = `${'x'.repeat(100_000)}${ending}`;
    expect(tailOf(giant).text()).toBe(giant.slice(-STDERR_TAIL_BYTES));
  });

  it('prefers what follows a giant line', () => {
    expect(tailOf('x'.repeat(100_000), '\nError: out of luck\n').text()).toBe(
      'Error: out of luck\n',
    );
  });

  it.each(['é', '€', '😀'])('never tears %s, wherever the cuts fall', (character) => {
    for (let shift = 0; shift < 4; shift++) {
      const whole = character.repeat(10_000) + 'x'.repeat(shift);
      for (const tail of [tailOf(whole), tailOf(...cut(Buffer.from(whole), [7, 4001]))]) {
        expect(whole.endsWith(tail.text())).toBe(true);
        expect(tail.text().slice(0, character.length)).toBe(character);
        expect(Buffer.byteLength(tail.text())).toBeGreaterThanOrEqual(STDERR_TAIL_BYTES);
      }
    }
  });

  it('leaves out an unfinished last character, and keeps a byte order mark', () => {
    expect(tailOf(Buffer.from('ok €').subarray(0, -1)).text()).toBe('ok ');
    expect(tailOf('\ufeffok').text()).toBe('\ufeffok');
  });

  it('shows bytes that are no text as such', () => {
    expect(tailOf(new Uint8Array([0x61, 0xff, 0x62])).text()).toBe('a\ufffdb');
  });

  it('copies what it keeps: a chunk may be used again', () => {
    const chunk = Buffer.from('first');
    const tail = tailOf(chunk);
    chunk.fill('x');
    expect(tail.text()).toBe('first');
  });

  it('goes on after it was read', () => {
    const tail = tailOf('a'.repeat(20_000));
    tail.text();
    tail.push('\nend');
    expect(tail.text()).toBe('end');
    expect(tail.text()).toBe('end');
  });

  it('is a suffix of all that was written, however that was cut', () => {
    const somePieces = fc.array(
      fc.tuple(
        fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('\n', 'é', '😀', 'warning: ')),
        fc.integer({ min: 1, max: 3000 }),
      ),
      { maxLength: 6 },
    );
    const sizes = fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 4 });
    // The written text may look like a secret by chance: letters that cannot are enough here.
    const plain = (text: string) => text.replace(/[^\n éo😀wa-f]/gu, 'o');
    fc.assert(
      fc.property(somePieces, sizes, (pieces, cuts) => {
        const written = plain(pieces.map(([piece, times]) => piece.repeat(times)).join(''));
        const text = tailOf(...cut(Buffer.from(written), cuts)).text();
        expect(text).toBe(tailOf(written).text());
        expect(written.endsWith(text)).toBe(true);
        expect(Buffer.byteLength(text)).toBeLessThan(STDERR_TAIL_BYTES + 4);
        const isWhole = Buffer.byteLength(written) <= STDERR_TAIL_BYTES;
        if (isWhole) expect(text).toBe(written);
        else if (!text.includes('\n')) expect(text).not.toBe('');
        const before = written.at(-text.length - 1);
        const lineBreakInside = text.slice(0, -1).trimEnd().includes('\n');
        if (!isWhole && lineBreakInside) expect(before).toBe('\n');
      }),
      runs(200),
    );
  });
});

describe('the memory of a StderrTail', () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  // Array buffers are swept in the background: the second run waits for the sweep of the first.
  const collect = () => {
    gc();
    gc();
  };
  const buffersHeldBy = (make: () => StderrTail[]) => {
    collect();
    const before = process.memoryUsage().arrayBuffers;
    const tails = make();
    collect();
    const held = process.memoryUsage().arrayBuffers - before;
    expect(tails.length).toBeGreaterThan(0);
    return held;
  };
  const tails = 200;

  it('is none before the first chunk', () => {
    const held = buffersHeldBy(() => Array.from({ length: tails }, () => tailOf('')));
    expect(held).toBeLessThan(tails);
  });

  it('is small for a few lines', () => {
    const held = buffersHeldBy(() => Array.from({ length: tails }, () => tailOf('a line\n')));
    expect(held).toBeLessThanOrEqual((tails + 8) * KIB);
  });

  it('is at most twice the tail after a flood, and retains no chunk', () => {
    const flood = () => tailOf(...Array.from({ length: 16 }, () => new Uint8Array(64 * KIB)));
    const held = buffersHeldBy(() => Array.from({ length: tails }, flood));
    expect(held).toBeLessThanOrEqual((tails + 8) * 2 * STDERR_TAIL_BYTES);
    expect(held).toBeGreaterThanOrEqual(tails * STDERR_TAIL_BYTES);
  });

  it('stays so when the flood comes in drops', () => {
    const drop = Buffer.from('0123456789\n');
    const drip = () => {
      const tail = new StderrTail();
      for (let written = 0; written < 64 * KIB; written += drop.length) tail.push(drop);
      return tail;
    };
    const held = buffersHeldBy(() => Array.from({ length: tails }, drip));
    expect(held).toBeLessThanOrEqual((tails + 8) * 2 * STDERR_TAIL_BYTES);
  });
});

// Made up, and put together here so that no scanner takes them for real.
const ANTHROPIC_KEY = `sk-ant-${'api03-AbCdEf_0123-456789'}`;
const AWS_ID = `AKIA${'IOSFODNN7EXAMPLE'}`;
const GITHUB_TOKEN = `ghp_${'abcdefghijklmnopqrstuvwxyz0123456789'}`;
const JWT = `eyJ${'hbGciOiJIUzI1NiJ9'}.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN-HlX_w`;
const PEM_BODY = 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n';
const pem = (kind: string) => {
  const label = `${kind}PRIVATE KEY`;
  return `-----BEGIN ${label}-----\n${PEM_BODY}-----END ${label}-----`;
};

describe('redactSecrets, by shape', () => {
  const CASES: [text: string, redacted: string][] = [
    [`401 for ${ANTHROPIC_KEY}, stop`, '401 for [redacted], stop'],
    ['using sk-proj-abcDEF123456', 'using [redacted]'],
    ['Bearer abc.DEF-123_~+/==', 'Bearer [redacted]'],
    ['authorization: bearer abc123', 'authorization: [redacted]'],
    ['Proxy-Authorization: Basic dXNlcjpwYXNz', 'Proxy-Authorization: [redacted]'],
    ['Authorization: AWS4-HMAC-SHA256 Credential=a/b, Signature=c', 'Authorization: [redacted]'],
    ['sent Basic dXNlcjpwYXNz twice', 'sent Basic [redacted] twice'],
    ['x-api-key: abc123', 'x-api-key: [redacted]'],
    ['ANTHROPIC_API_KEY=abc PATH=/bin', 'ANTHROPIC_API_KEY=[redacted] PATH=/bin'],
    ['export DB_PASSWORD="two words\\" and more" X=1', 'export DB_PASSWORD="[redacted]" X=1'],
    ["MY_SECRET='two words' X=1", "MY_SECRET='[redacted]' X=1"],
    ['TOKEN=a,b;c&d', 'TOKEN=[redacted]'],
    ['DB_PASS=abc', 'DB_PASS=[redacted]'],
    ['TOKEN=\nnext line', 'TOKEN=\nnext line'],
    ['{"api_key": "abc def", "user": "me"}', '{"api_key": "[redacted]", "user": "me"}'],
    ['{"accessToken":"abc","user":"me"}', '{"accessToken":"[redacted]","user":"me"}'],
    [
      '{\\"token\\":\\"abc\\",\\"user\\":\\"me\\"}',
      '{\\"token\\":\\"[redacted]\\",\\"user\\":\\"me\\"}',
    ],
    ["{ clientSecret: 'abc', user: 'me' }", "{ clientSecret: '[redacted]', user: 'me' }"],
    ['"password" => "abc"', '"password" => "[redacted]"'],
    ['{"password": "unfinished', '{"password": "[redacted]'],
    ['note: the api_key=abc', 'note: the api_key=[redacted]'],
    ['run --api-key abc --verbose', 'run --api-key [redacted] --verbose'],
    ['run --api-key=abc --verbose', 'run --api-key=[redacted] --verbose'],
    ['run --password "two words" -v', 'run --password "[redacted]" -v'],
    ["spawnargs: [ '--token', 'abc', '-v' ]", "spawnargs: [ '--token', '[redacted]', '-v' ]"],
    ['["--token","abc","-v"]', '["--token","[redacted]","-v"]'],
    [`id ${AWS_ID}.`, 'id [redacted].'],
    [`remote ${GITHUB_TOKEN}`, 'remote [redacted]'],
    ['gho_0123456789abcdef github_pat_11ABC_0123456789', '[redacted] [redacted]'],
    ['xoxb-123-456-abc xoxa-2-abcdef xoxp-abcdef', '[redacted] [redacted] [redacted]'],
    ['GET https://me:pa:ss@w@host:443/a?b=c', 'GET https://[redacted]@host:443/a?b=c'],
    [
      'postgres://user:p%40ss@db/x and http://host:80/a@b',
      'postgres://[redacted]@db/x and http://host:80/a@b',
    ],
    [`jwt=${JWT}!`, 'jwt=[redacted]!'],
    [`a\n${pem('')}\nb`, 'a\n[redacted]\nb'],
    [`${pem('RSA ')}${pem('OPENSSH ')}`, '[redacted]'],
    [pem('EC ').replaceAll('\n', '\\n'), '[redacted]'],
    [`died: ${pem('').slice(0, 60)}`, 'died: [redacted]'],
    [`${pem('').slice(30)}\nafter`, '[redacted]\nafter'],
  ];

  it.each(CASES)('%j', (text, redacted) => {
    expect(redactSecrets(text)).toBe(redacted);
  });

  it.each([
    'Error: ENOENT: no such file or directory, open /a/b.txt',
    '    at run (file:///app/src/tokens.js:12:5)',
    '    at KeyStore.get (node:internal/keystore.js:12:5)',
    'MAX_OUTPUT_TOKENS=32000 {"input_tokens":128000,"output_tokens": 7}',
    'listening on http://127.0.0.1:8080/path',
    'sent to me@example.com',
    'task-runner: disk-usage-report',
    '',
  ])('leaves %j as it is', (text) => {
    expect(redactSecrets(text)).toBe(text);
  });

  it('finds nothing more the second time', () => {
    for (const [text] of CASES) {
      const once = redactSecrets(text);
      expect(redactSecrets(once)).toBe(once);
    }
  });
});

describe('redactSecrets, by value', () => {
  it('replaces every occurrence, literally', () => {
    expect(redactSecrets('a (.*$1) b (.*$1)', ['(.*$1)'])).toBe('a [redacted] b [redacted]');
  });

  it('passes over what is shorter than 6 characters', () => {
    expect(redactSecrets('a b true 12345', ['', 'a', 'true', '12345'])).toBe('a b true 12345');
  });

  it('covers secrets that overlap or contain one another', () => {
    expect(redactSecrets('<abcdefghi>', ['abcdef', 'defghi'])).toBe('<[redacted]>');
    expect(redactSecrets('<abcdefghi>', ['cdefgh', 'abcdefghi'])).toBe('<[redacted]>');
  });

  it('is not led astray by a secret that is part of a shape, nor a shape by a secret', () => {
    expect(redactSecrets(pem(''), ['PRIVATE'])).toBe('[redacted]');
    expect(redactSecrets('horse token=battery staple', ['horse token=battery staple'])).toBe(
      '[redacted]',
    );
  });

  it('lets no planted secret through, and only what is secret is gone', () => {
    // Upper case: neither text nor mark can contain the secret by chance.
    const aSecret = fc.stringMatching(/^[A-Z0-9/+ "'\\]{6,40}$/);
    const someText = fc.array(fc.stringMatching(/^[a-d .\n]{1,40}$/), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(aSecret, someText, (secret, texts) => {
        expect(redactSecrets(texts.join(secret), [secret])).toBe(texts.join('[redacted]'));
      }),
      RUNS,
    );
  });

  it('lets no secret with a telling name through', () => {
    const aName = fc.constantFrom(
      'API_KEY',
      'githubToken',
      'x-secret',
      'PGPASSWORD',
      'credentials',
    );
    const aValue = fc.stringMatching(/^[A-Z0-9/+=_.-]{1,40}$/).map((value) => `Q${value}`);
    const aForm = fc.constantFrom(
      (name: string, value: string) => `${name}=${value}`,
      (name: string, value: string) => `${name}: ${value}`,
      (name: string, value: string) => `--${name} ${value}`,
      (name: string, value: string) => `--${name}=${value}`,
      (name: string, value: string) => JSON.stringify({ [name]: value }),
      (name: string, value: string) => JSON.stringify(JSON.stringify({ [name]: value })),
    );
    const someText = fc.stringMatching(/^[a-d,;:=" \n{}]{0,40}$/).map((text) => `${text} `);
    fc.assert(
      fc.property(someText, aName, aValue, aForm, (text, name, value, form) => {
        const redacted = redactSecrets(`${text}${form(name, value)} ${text}`);
        expect(redacted).not.toContain(value);
        expect(redacted).toContain('[redacted]');
      }),
      RUNS,
    );
  });
});

describe('a secret that the cut tears', () => {
  // Every cut from before the secret to behind it; nothing of it may remain.
  const everyCut = (secret: string, check: (text: string) => void, form = secret) => {
    for (let shown = 0; shown <= form.length + 1; shown += 3) {
      const filler = '.'.repeat(STDERR_TAIL_BYTES - shown);
      check(tailOf(`${'.'.repeat(9000)} ${form}${filler}`).text([secret]));
    }
  };

  it('leaves no remainder of a literal in a giant line', () => {
    const secret = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
    everyCut(secret, (text) => expect(text).not.toMatch(/[A-Z0-9]/));
  });

  it('leaves no remainder of a literal without its beginning in memory', () => {
    const secret = `${'ABCDEFGH'.repeat(1000)}END`;
    const text = tailOf(secret, '.'.repeat(6000)).text([secret]);
    expect(text).toBe(`[redacted]${'.'.repeat(6000)}`);
    expect(tailOf(`${secret}\n`, '.'.repeat(6000)).text([secret])).toBe('.'.repeat(6000));
  });

  it('leaves no later line of a literal of many lines', () => {
    const secret = `{\n${'  "ABCDEF"\n'.repeat(20)}}`;
    everyCut(secret, (text) => expect(text).not.toMatch(/[A-F]/));
  });

  it('leaves no remainder of what is known by its shape alone', () => {
    const value = 'ABCDEFGHIJKLMNOP';
    const forms = [
      `"api_key":"${value}"`,
      `Bearer ${value} `,
      `sk-ant-${value} `,
      `://u:${value}@h`,
    ];
    for (const form of forms) {
      everyCut('unknown', (text) => expect(text).not.toContain(value.slice(-6)), form);
    }
    everyCut('unknown', (text) => expect(text).not.toMatch(/[BG]Kc/), `${pem('RSA ')} `);
  });

  it('takes nothing else away', () => {
    const text = `${'.'.repeat(20_000)}\nthe end`;
    expect(tailOf(text).text(['xyz...', 'not there'])).toBe('the end');
    expect(tailOf('.'.repeat(20_000)).text(['xyz...'])).toBe('.'.repeat(STDERR_TAIL_BYTES));
  });
});

describe('redactSecrets on hostile text', () => {
  const UNITS = [
    ...['a', ' ', '\n', '\\', '"', "'", '-', '=', ':', '@', '.', '/', '\\"', '="', ':"\\'],
    ...['key', 'key=', 'key="', "key:'", 'key ', 'key-', '--key', '--key ', 'token:"\\"', 'a:"a'],
    ...['eyJ', 'eyJa.', 'eyJ-', 'sk-', 'sk-ant-', 'Bearer ', 'Basic  ', 'authorization', '_pass'],
    ...['authorization: ', '://', '://a:', '://a@', 'ghp_', 'xoxb-', 'AKIA', 'AIza', 'github_pat_'],
    ...['-----BEGIN ', '-----BEGIN PRIVATE KEY', '-----BEGIN PRIVATE KEY-----', '-----END '],
    ...[
      '-----END PRIVATE KEY',
      '-----BEGIN RSA PRIVATE ',
      'A\n',
      'PRIVATE KEY ',
      'x=\\\\"',
      'key,',
    ],
  ];
  const STARTS = ['', 'key="', "key='", 'key=\\"', 'authorization: ', '--key', '://', 'eyJ'];

  // Of processor time for this much, linear patterns take 8 ms at most, quadratic ones a second.
  it.each(STARTS)('takes linear time for any repetition that starts with %j', (start) => {
    for (const unit of UNITS) {
      const hostile = start + unit.repeat(Math.ceil((64 * KIB) / unit.length));
      const before = process.cpuUsage();
      redactSecrets(hostile);
      const { user } = process.cpuUsage(before);
      expect(user / 1000, `CPU ms for ${JSON.stringify(unit)}`).toBeLessThan(250);
    }
  });
});

describe('secretValues', () => {
  it('lists the values whose names look secret, each once', () => {
    const env = {
      ANTHROPIC_API_KEY: 'value-1',
      GITHUB_TOKEN: 'value-2',
      GH_TOKEN: 'value-2',
      client_secret: 'value-3\n',
      PGPASSWORD: 'value-4',
      AWS_CREDENTIALS: 'value-5',
      HTTP_AUTHORIZATION: 'value-6',
      SHORT_KEY: 'short',
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: '128000',
      PATH: '/usr/bin:/bin',
      HOME: '/home/me',
    };
    expect(secretValues(env)).toEqual([1, 2, 3, 4, 5, 6].map((number) => `value-${number}`));
  });

  it('feeds the tail', () => {
    const env = { MY_SECRET: 'correct horse' };
    expect(tailOf('said "correct horse"').text(secretValues(env))).toBe('said "[redacted]"');
  });
});
