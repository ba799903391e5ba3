// A command of WASI's own interfaces: JavaScript has none for files.

import { getArguments, getEnvironment } from 'wasi:cli/environment@0.2.10';
import { getStdin } from 'wasi:cli/stdin@0.2.10';
import { getStdout } from 'wasi:cli/stdout@0.2.10';
import { getStderr } from 'wasi:cli/stderr@0.2.10';
import * as monotonic from 'wasi:clocks/monotonic-clock@0.2.10';
import * as wall from 'wasi:clocks/wall-clock@0.2.10';
import { getDirectories } from 'wasi:filesystem/preopens@0.2.10';
import { getRandomBytes } from 'wasi:random/random@0.2.10';

const FOLLOWING = { symlinkFollow: true };

function say(stream, text) {
  for (let rest = text + '\n'; rest; rest = rest.slice(1000)) {
    stream.blockingWriteAndFlush(encoded(rest.slice(0, 1000)));
  }
}

// QuickJS has neither TextEncoder nor TextDecoder.
function encoded(text) {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (character) => character.charCodeAt(0));
}

function decoded(bytes) {
  return decodeURIComponent(escape(String.fromCharCode(...bytes)));
}

function failure(error) {
  return String(error.payload ?? error.message ?? error);
}

// Each directory that is open, by its name: /data is data.
function directories() {
  return Object.fromEntries(getDirectories().map(([directory, path]) => [path.replace(/^\//, ''), directory]));
}

function readAll(stream) {
  const found = [];
  for (;;) {
    try {
      found.push(...stream.blockingRead(65536n));
    } catch (error) {
      if (error.payload?.tag !== 'closed') throw error;
      return Uint8Array.from(found);
    }
  }
}

function readFile(directory, path) {
  return readAll(directory.openAt(FOLLOWING, path, {}, { read: true }).readViaStream(0n));
}

function files(out, { data, out: target }) {
  const text = decoded(readFile(data, 'in.txt'));
  say(out, `read: ${text.trim()}`);
  const names = [];
  const entries = data.readDirectory();
  for (let entry = entries.readDirectoryEntry(); entry; entry = entries.readDirectoryEntry()) names.push(entry.name);
  say(out, `listed: ${names.sort().join(' ')}`);
  target.createDirectoryAt('deep');
  const draft = target.openAt(FOLLOWING, 'deep/draft.txt', { create: true }, { write: true, read: true });
  draft.writeViaStream(0n).blockingWriteAndFlush(encoded(text.toUpperCase()));
  draft.appendViaStream().blockingWriteAndFlush(encoded('more\n'));
  target.renameAt('deep/draft.txt', target, 'result.txt');
  target.removeDirectoryAt('deep');
  say(out, `size: ${target.statAt(FOLLOWING, 'result.txt').size}`);
}

// What others answer, asked with the engine's own fetch.
async function ask(out, base) {
  const tell = async (name, action) => {
    try {
      say(out, `${name}: ${await action()}`);
    } catch (error) {
      say(out, `${name}: refused (${failure(error)})`);
    }
  };
  const answer = async (url, init) => {
    const response = await fetch(url, init);
    const kind = response.headers.get('content-type') ?? 'nothing';
    return [response.status, kind, await response.text()];
  };
  const last = ([status, kind, text]) => `${status} ${kind} ${text.split('\n').at(-1)}`;
  await tell('get', async () => last(await answer(`${base}/hello?x=1`, { headers: { 'x-question': 'why' } })));
  const posted = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ a: 'ü' }) };
  await tell('post', async () => last(await answer(`${base}/echo`, posted)));
  await tell('big', async () => {
    const [status, , text] = await answer(`${base}/big`);
    return `${status} ${text.length}`;
  });
  await tell('missing', async () => last(await answer(`${base}/missing`)));
  const both = [answer(`${base}/one`), answer(`${base}/other`)];
  await tell('one', async () => last(await both[0]));
  await tell('other', async () => last(await both[1]));
  await tell('beyond', async () => last(await answer(`${base}/beyond`)));
  await tell('elsewhere', async () => last(await answer('http://elsewhere.invalid/')));
}

export const run = {
  async run() {
    const [out, err] = [getStdout(), getStderr()];
    const attempt = (name, action) => {
      try {
        action();
        say(out, `${name}: done`);
      } catch (error) {
        say(out, `${name}: refused (${failure(error)})`);
      }
    };
    const words = getArguments().slice(1);
    if (words[0] === 'ask') return ask(out, words[1]);
    say(out, `arguments: ${words.join('|')}`);
    say(out, `variable: ${Object.fromEntries(getEnvironment()).GREETING ?? 'none'}`);
    say(out, `stdin: ${readAll(getStdin()).length}`);

    const open = directories();
    try {
      files(out, open);
    } catch (error) {
      say(out, `files: ${failure(error)}`);
    }
    attempt('up', () => readFile(open.data, '../secret.txt'));
    attempt('absolute', () => readFile(open.data, '/etc/passwd'));
    attempt('link', () => readFile(open.data, 'link.txt'));
    attempt('read-only', () => open.data.openAt(FOLLOWING, 'in.txt', { truncate: true }, { write: true }));
    attempt('remove', () => open.data.unlinkFileAt('in.txt'));

    say(out, `random: ${[...getRandomBytes(8n)].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`);
    const began = monotonic.now();
    monotonic.subscribeDuration(20_000_000n).block();
    say(out, `slept: ${monotonic.now() - began >= 20_000_000n}`);
    say(out, `time: ${wall.now().seconds}`);
    say(err, 'bye');
    if (words.includes('fail')) throw undefined;
  },
};
