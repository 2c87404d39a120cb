// Keeps the page up to date: loads it again at each event and changes the parts that differ. The host
// renders everything, so that no markup is written twice.

const REFRESH_EVERY_MS = 500;
const REFRESH_ANYWAY_MS = 5000;

const { base, events } = document.body.dataset;
const live = document.querySelector('#live');
const said = document.querySelector('#said');

/** Turns `old` into `next` in place, so that focus, selection and open details stay. */
function morph(old, next) {
  if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName) {
    old.replaceWith(next);
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return;
  }
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (name !== 'open' && !next.hasAttribute(name)) old.removeAttribute(name);
  }
  morphChildren(old, next);
}

const keyOf = (node) => node.dataset?.key ?? (node.id || undefined);

function morphChildren(old, next) {
  const keyed = new Map([...old.children].map((child) => [keyOf(child), child]));
  let at = old.firstChild;
  for (const child of [...next.childNodes]) {
    const key = keyOf(child);
    const known = key === undefined ? at : keyed.get(key);
    const isOfAnother = known && key === undefined && keyOf(known) !== undefined;
    if (!known || isOfAnother) {
      old.insertBefore(child, at);
      continue;
    }
    if (known === at) at = at.nextSibling;
    else old.insertBefore(known, at);
    morph(known, child);
  }
  while (at) {
    const following = at.nextSibling;
    at.remove();
    at = following;
  }
}

function say(text) {
  said.textContent = text;
}

function mark(state) {
  live.dataset.is = state;
  live.textContent =
    state === 'live' ? 'live' : state === 'lost' ? 'not connected, as of' : 'as of';
}

let isRefreshing = false;
let isStale = false;

/** Loads the page at most twice a second, and once more if an event came meanwhile. */
async function refresh() {
  isStale = true;
  if (isRefreshing) return;
  isRefreshing = true;
  while (isStale) {
    isStale = false;
    await load();
    await new Promise((resolve) => setTimeout(resolve, REFRESH_EVERY_MS));
  }
  isRefreshing = false;
}

async function load() {
  try {
    const response = await fetch(location.href, { headers: { accept: 'text/html' } });
    // The login has expired: a reload shows the login form.
    if (response.status === 401) return location.reload();
    if (!response.ok) return mark('lost');
    const next = new DOMParser().parseFromString(await response.text(), 'text/html');
    for (const part of ['main', 'nav', '#about', '#as-of time']) {
      const [old, now] = [document.querySelector(part), next.querySelector(part)];
      if (old && now) morph(old, now);
    }
    document.title = next.title;
  } catch {
    mark('lost');
  }
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Shows the end of a process at once, before the page is loaded again. */
function showEnd({ id, pid, kind, sessionId, cause, code, signal, durationMs }) {
  const rows = document.querySelector('#ends tbody');
  const how = signal ?? (code === null ? '–' : `code ${code}`);
  say(
    `${kind}${sessionId === null ? '' : ` of session ${sessionId}`} has ended: ${cause}, ${how}.`,
  );
  document.querySelector(`#processes tr[data-key="${CSS.escape(id)}"]`)?.classList.add('gone');
  if (!rows || rows.querySelector(`[data-key="${CSS.escape(id)}"]`)) return;
  const row = element('tr', '', { role: 'row', 'data-key': id, class: 'new' });
  const badge = element('span', cause, { class: 'badge', 'data-is': cause });
  const cells = [
    ['Process', pid === null ? '–' : `pid ${pid}`],
    ['Kind', kind],
    ['Session', sessionId ?? '–'],
    ['Exit', how],
    ['Lasted', `${Math.round(durationMs / 1000)} s`],
  ].map(([label, text]) => element('td', text, { role: 'cell', 'data-label': label }));
  const why = element('td', '', { role: 'cell', 'data-label': 'Cause' });
  why.append(badge);
  row.append(element('th', 'now', { role: 'rowheader', scope: 'row' }), why, ...cells);
  rows.prepend(row);
}

function follow() {
  const source = new EventSource(`${base}events`);
  source.addEventListener('hello', () => {
    mark('live');
    refresh();
  });
  for (const name of [...events.split(' '), 'lagged']) {
    source.addEventListener(name, ({ data }) => {
      if (name === 'exited') showEnd(JSON.parse(data));
      refresh();
    });
  }
  source.onerror = () => {
    mark('lost');
    // EventSource does not reconnect after an error status.
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, REFRESH_ANYWAY_MS);
  };
}

const dialog = document.querySelector('#confirm');
let asked;

/** Asks before an action. Without this script the form is sent, and the host asks. */
document.addEventListener('submit', (event) => {
  const { question } = event.target.dataset;
  if (question === undefined) return;
  event.preventDefault();
  asked = { url: event.target.action, body: new URLSearchParams(new FormData(event.target)) };
  document.querySelector('#question').textContent = question;
  dialog.returnValue = 'no';
  dialog.showModal();
});

dialog.addEventListener('close', async () => {
  if (dialog.returnValue !== 'yes' || asked === undefined) return;
  const { url, body } = asked;
  asked = undefined;
  say('Working …');
  try {
    const response = await fetch(url, {
      method: 'POST',
      body,
      headers: { accept: 'application/json' },
    });
    const answer = await response.json();
    say(response.ok ? outcome(answer) : answer.error);
  } catch {
    say('The host has not answered.');
  }
  refresh();
});

function outcome({ ended, survivors }) {
  const alive = survivors.map(({ command, pid }) => `${command} (pid ${pid})`).join(', ');
  return `${ended.length} ended${alive === '' ? '.' : `; still alive: ${alive}.`}`;
}

follow();
setInterval(() => {
  if (document.visibilityState === 'visible') refresh();
}, REFRESH_ANYWAY_MS);
