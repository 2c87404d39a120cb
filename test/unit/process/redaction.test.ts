import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import { redactSecrets, secretValues } from '../../../src/process/redaction.ts';
import { SERVICE_KEYS } from '../../../src/process/service-keys.ts';

// Made up, and put together here so that no scanner takes them for real.
const R = `Zq8vX2mN4kL7pR1tY6${'wB3cD5fG9hJ0sA'}`;
const HEX = '0123456789abcdef'.repeat(4);
const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.repeat(2);

const KEYS: Readonly<Record<string, string>> = {
  anthropic: `sk-ant-api03-${R}`,
  openai: `sk-proj-${R}`,
  groq: `gsk_${R}`,
  xai: `xai-${R}`,
  perplexity: `pplx-${R}`,
  replicate: `r8_${R}`,
  nvidia: `nvapi-${R}`,
  langsmith: `lsv2_pt_${R}`,
  huggingface: `hf_${R}`,
  github: `ghs_${R}`,
  gitlab: `glrt-${R}`,
  atlassian: `ATATT3${R}=1A2B3C4D`,
  slack: `xapp-1-${R}`,
  slackRefresh: `xoxe.xoxp-1-${R}`,
  telegram: `123456789:AA${R}x`,
  aws: `AKIA${UPPER.slice(0, 16)}`,
  bedrock: `ABSK${R}${R}`,
  google: `ya29.${R}`,
  googleClient: `GOCSPX-${R}`,
  googleRefresh: `1//0${R}`,
  azure: `abc8Q~${R}xy`,
  digitalocean: `dop_v1_${HEX}`,
  fly: `fo1_${R}`,
  heroku: `HRKU-${R}`,
  npm: `npm_${R}abcd`,
  pypi: `pypi-AgEI${R}`,
  rubygems: `rubygems_${HEX}`,
  crates: `cio${R}`,
  docker: `dckr_pat_${R}`,
  stripe: `sk_live_${R}`,
  stripeWebhook: `whsec_${R}`,
  square: `sq0atp-${R}`,
  razorpay: `rzp_live_${R}`,
  brevo: `xkeysib-${HEX}-${R}`,
  sendgrid: `SG.${R}.${R}`,
  mailgun: `key-${HEX.slice(0, 32)}`,
  mailchimp: `${HEX.slice(0, 32)}-us12`,
  twilio: `SK${HEX.slice(0, 32)}`,
  shopify: `shpat_${R}`,
  vault: `hvs.${R}`,
  terraform: `${R.slice(0, 14)}.atlasv1.${R}`,
  doppler: `dp.st.dev.${R}`,
  pulumi: `pul-${HEX}`,
  onePassword: `ops_eyJ${R}`,
  tailscale: `tskey-auth-${R}`,
  grafana: `glsa_${R}`,
  newRelic: `NRAK-${UPPER}`,
  sentry: `sntrys_${R}`,
  dynatrace: `dt0c01.${UPPER.slice(0, 24)}.${UPPER}`,
  databricks: `dapi${HEX.slice(0, 32)}`,
  planetscale: `pscale_tkn_${R}`,
  supabase: `sb_secret_${R}`,
  postman: `PMAK-${R}`,
  notion: `ntn_${R}`,
  linear: `lin_api_${R}`,
  figma: `figd_${R}`,
  airtable: `pat${R.slice(0, 14)}.${HEX}`,
  circleci: `CCIPAT_${R}`,
  buildkite: `bkua_${R}`,
  sonar: `squ_${HEX.slice(0, 40)}`,
  age: `AGE-SECRET-KEY-1${R}`,
  agePlugin: `AGE-PLUGIN-YUBIKEY-1${R}`,
  jwt: `eyJ${R}.eyJ${R}.${R}`,
};

describe('the key of a service', () => {
  it.each(Object.entries(KEYS))('of %s is known by itself, wherever it stands', (_, key) => {
    for (const form of [
      key,
      `401 for ${key}, stop`,
      `"${key}"`,
      `x=${key}&y`,
      `(${key})`,
      `\n${key}\n`,
    ])
      expect(redactSecrets(form)).toBe(form.replace(key, '[redacted]'));
    const middle = Math.floor(key.length / 3);
    const coloured = `${key.slice(0, middle)}\x1b[1m\x1b]8;;x\x07${key.slice(middle)}\x1b[0m`;
    expect(redactSecrets(coloured)).toBe('[redacted]\x1b[0m');
  });

  it('has a row for each pattern', () => {
    const unused = SERVICE_KEYS.filter(
      (pattern) => !Object.values(KEYS).some((key) => key.match(pattern)),
    );
    // Webhooks, and Discord's bots.
    expect(unused).toHaveLength(4);
  });

  it.each([
    `https://hooks.slack.com/services/T0/B0/${R}`,
    `https://hooks.slack.com/workflows/T0/A0/${R}`,
    `https://discord.com/api/webhooks/1234/${R}`,
    `https://x.webhook.office.com/webhookb2/a@b/IncomingWebhook/${R}`,
    `https://x/c?sv=2024&sig=${R}&se=1`,
    `https://x/k?X-Amz-Credential=${R}&X-Amz-Signature=${R}`,
    `https://x/k?X-Goog-Signature=${R}`,
    `https://x/cb?code=${R}`,
    `MTIz${R.slice(0, 22)}.abcdef.${R}`,
  ])('is gone from %s', (text) => {
    expect(redactSecrets(text)).not.toContain(R);
  });
});

describe('a secret with a telling name', () => {
  const FORMS: readonly string[] = [
    `Authorization: Digest username="u", response="${R}"`,
    `{"Authorization":"Digest username=\\"u\\", response=\\"${R}\\"","x":1}`,
    `Authorization: Custom a b c ${R}`,
    `-----BEGIN PGP PRIVATE KEY BLOCK-----\n${R}\n-----END PGP PRIVATE KEY BLOCK-----`,
    `---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n${R}\n---- END SSH2 ENCRYPTED PRIVATE KEY ----`,
    `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${R}`,
    `Private-Lines: 2\n${R}\n${R}\nPrivate-MAC: 00`,
    `my.secret.value=${R}`,
    `spring.datasource.password: ${R}`,
    `user[password]=${R}`,
    `config["secret"]["value"] = "${R}"`.replace('["value"]', ''),
    `<password>${R}</password>`,
    `<ns:apiKey type="x">\n  ${R}\n</ns:apiKey>`,
    `<token><![CDATA[${R}]]></token>`,
    `<property name="db.password">${R}</property>`,
    `<add key="ClientSecret" value="${R}"/>`,
    `{"name":"API_TOKEN","value":"${R}"}`,
    `- name: API_TOKEN\n  value: ${R}`,
    `token = '''${R}'''`,
    `token = """\n${R}\n"""`,
    `token: >\n  ${R}`,
    `token: |-\n    a\n    ${R}\nnext: 1`,
    `"token":\n  "${R}"`,
    `Set-Cookie: sid=${R}; Path=/`,
    `cookie: a=b; sid=${R}`,
    `{"cookie":"sid=${R}"}`,
    `_auth=${R}`,
    `//registry.test/:_auth=${R}`,
    `NPM_AUTH=${R}`,
    `MYSQL_PWD=${R}`,
    `GH_PAT=${R}`,
    `pw: ${R}`,
    `AccountKey=${R};EndpointSuffix=x`,
    `API\x1b[1m_KEY\x1b[0m=\x1b[32m${R}\x1b[0m`,
  ];

  it.each(FORMS)('is gone from %j', (text) => {
    const once = redactSecrets(text);
    expect(once).not.toContain(R);
    expect(once).toContain('[redacted]');
    expect(redactSecrets(once)).toBe(once);
  });

  it('would be shown without that name', () => {
    // Nothing is judged by how random it looks: what follows is left, too.
    for (const text of [R, HEX, UPPER, `id ${R}.`, `<p>${R}</p>`, `note = '''${R}'''`])
      expect(redactSecrets(text)).toBe(text);
  });
});

describe('ordinary text', () => {
  it.each([
    'commit 3f786850e387550fdab836ed7e6dc881de23001b (HEAD -> main)',
    '"integrity": "sha512-AbCdEf0123456789+/AbCdEf0123456789+/AbCdEf0123456789=="',
    'session 0b9f6c9a-4d0e-4a63-8d8e-4b2f0a1c2d3e was resumed',
    'PWD=/home/me OLDPWD=/tmp',
    'pwd: /home/me/project',
    'SSH_AUTH_SOCK=/tmp/ssh-x/agent.1',
    'auth: enabled, sig: SIGTERM, pass 12, fail 0',
    'a pattern: 3, patches: 4, path=/usr/bin, patience=5',
    'This site has a cookie: please accept it.',
    'npm_config_registry=https://registry.npmjs.org/',
    'task-runner sk-1, shp_x, hf_ 12, SG.a.b, ghp_',
    'at run (/app/token.ts:10:5)',
    'token.test.ts:12: expected 3',
    '<p>text</p> <user name="x">y</user>',
    'GET /a?state=open&code=404&page=2',
    'docker run -p 80:80 image@sha256:0123456789abcdef',
    '\x1b[32mdone\x1b[0m in 3 s',
  ])('%j is left as it is', (text) => {
    expect(redactSecrets(text)).toBe(text);
  });
});

describe('the variables of a child', () => {
  it.each([
    'GH_PAT',
    'NPM_AUTH',
    'SENTRY_DSN',
    'MY_PW',
    'MYSQL_PWD',
    'PGPASSWORD',
    'DB_PASS',
    'APP_JWT',
  ])('%s holds a secret by its name', (name) => expect(secretValues({ [name]: R })).toContain(R));

  it.each([
    'PWD',
    'OLDPWD',
    'SSH_AUTH_SOCK',
    'PATH',
    'PATTERN',
    'GIT_AUTHOR_NAME',
    'COMPAT',
    'SPAWN',
  ])('%s holds none', (name) => expect(secretValues({ [name]: R })).toEqual([]));

  it('hold the passwords of addresses, too', () => {
    const values = secretValues({ DATABASE_URL: 'postgres://me:p%40ss-word@db:5432/x' });
    expect(values).toEqual(['p%40ss-word', 'p@ss-word']);
  });

  it('are found as they may be written', () => {
    const secret = `line one of ${R}\n"two" of it & more of that`;
    const values = secretValues({ MY_SECRET: secret });
    const forms = [
      secret,
      JSON.stringify(secret),
      encodeURIComponent(secret),
      secret.split('\n')[0],
    ];
    for (const form of forms) expect(redactSecrets(`it: ${form}`, values)).not.toContain(R);
  });
});

describe('hostile text', () => {
  const UNITS = [
    ...[
      'cookie:',
      'cookie: a',
      'cookie=',
      'name="key" ',
      'name=key\n',
      "key='''",
      'key="""',
      'key: |\n',
    ],
    ...[
      'key: >\n ',
      ' \r',
      '<key>',
      '<key ',
      '<key><',
      '<a:key a',
      'my.key.',
      'key.key.',
      '.',
      'a.a',
    ],
    ...[
      'AGE-PLUGIN-',
      'AGE-SECRET-KEY-',
      'SG.',
      'SG.a',
      'xox',
      '\x1b[',
      '\x1b]',
      '\x9b',
      '\x1b[1m',
      '?sig=',
    ],
    ...[
      'Private-Lines: 1\n',
      '---- BEGIN ',
      'auth=',
      '-auth',
      'pwd',
      'dp.pt.',
      'eyJ',
      '1//0',
      'authorization: ="',
    ],
  ];

  it('takes linear time', () => {
    for (const start of ['', 'key: |\n', "key='''", 'name="key"', '<key']) {
      for (const unit of UNITS) {
        const hostile = start + unit.repeat(Math.ceil((64 * 1024) / unit.length));
        const before = process.cpuUsage();
        redactSecrets(hostile);
        const { user } = process.cpuUsage(before);
        expect(user / 1000, `CPU ms for ${JSON.stringify([start, unit])}`).toBeLessThan(400);
      }
    }
  });

  it('with colours anywhere hides nothing', () => {
    const colour = fc.constantFrom('\x1b[1m', '\x1b[38;5;1m', '\x1b]0;t\x07', '\x9b0m', '\x1b(B');
    const keys = fc.constantFrom(...Object.values(KEYS), `API_KEY=${R}`, `password: ${R}`);
    const cuts = fc.array(fc.nat(30), { maxLength: 5 });
    fc.assert(
      fc.property(keys, cuts, colour, (key, at, sequence) => {
        const places = [...new Set(at)].sort((a, b) => b - a);
        const text = places.reduce(
          (all, cut) => all.slice(0, cut) + sequence + all.slice(cut),
          key,
        );
        const shown = redactSecrets(text).replaceAll(sequence, '');
        expect(shown).not.toContain(key.slice(-12));
      }),
      runs(300),
    );
  });
});
