// `mintkeep dev` over a temporary folder, an empty `mintkeep serve`, and a merchant's site beside them.
'use strict';
const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');

const START_MS_MAX = 20_000;

/** Runs the binary over a temporary folder; `ready` picks its URLs by role out of its lines, and says when that is all. */
async function run(binary, data, args, ready) {
  const log = path.join(data, 'log');
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stderr.pipe(fs.createWriteStream(log));
  const urls = await new Promise((resolve, reject) => {
    const found = {};
    const timer = setTimeout(() => reject(new Error('the server did not start')), START_MS_MAX);
    child.on('exit', (code) => reject(new Error(`the server ended with ${code}: ${fs.readFileSync(log)}`)));
    for (const input of [child.stdout, child.stderr]) {
      readline.createInterface({ input }).on('line', (line) => {
        if (!ready(line, found)) return;
        clearTimeout(timer);
        resolve(found);
      });
    }
  });
  async function stop() {
    child.removeAllListeners('exit');
    const ended = new Promise((resolve) => child.on('exit', resolve));
    child.kill('SIGTERM');
    await ended;
    fs.rmSync(data, { recursive: true });
  }
  return { ...urls, console: urls.admin, stop };
}

const newFolder = () => fs.mkdtempSync(path.join(os.tmpdir(), 'mintkeep-browser-'));

/** Starts the sandbox; `stop` ends it and removes its folder. */
async function startSandbox(binary) {
  const data = newFolder();
  const anyPort = ['--issuer', '--keeper', '--admin'].flatMap((role) => [role, '127.0.0.1:0']);
  const server = await run(binary, data, ['dev', '--data', path.join(data, 'data'), ...anyPort], (line, found) => {
    const [, role, url] = /^\s+(issuer|keeper|admin)\s+(http:\S+)/.exec(line) || [];
    if (role) found[role] = url;
    return line.startsWith('Ctrl-C');
  });
  const secret = (file) => fs.readFileSync(path.join(data, 'data', file), 'utf8').trim();
  const token = secret('admin.token');
  async function admin(method, route, body) {
    const response = await fetch(server.admin + route, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }
  return { ...server, token, consumerKey: secret('sandbox/consumer.key'), admin };
}

/** Starts a server as in production, in which nothing was made yet. */
async function startEmpty(binary) {
  const data = newFolder();
  const token = 'nothing-was-made-yet-nothing-was-made-yet';
  fs.writeFileSync(path.join(data, 'admin.token'), token, { mode: 0o600 });
  execFileSync(binary, ['key', 'generate', '--master', '--out', data]);
  const config = path.join(data, 'mintkeep.toml');
  fs.writeFileSync(config, EMPTY);
  const server = await run(binary, data, ['serve', '--config', config], (line, found) => {
    const { message, listener, address } = line.startsWith('{') ? JSON.parse(line) : {};
    if (message === 'listening') found[listener] = `http://${address}`;
    return message === 'ready';
  });
  return { ...server, token };
}

const EMPTY = `
[issuer]
listen = "127.0.0.1:0"
public_url = "https://tokens.example.com"
[keeper]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
token = "file:admin.token"
[store]
path = "data"
[master_key]
current = "file:master.key"
`;

/** A site that answers every path with a page of its own; `pages` holds the HTML by path. */
async function startSite() {
  const pages = new Map();
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://site');
    response.setHeader('Content-Type', pathname.endsWith('.svg') ? 'image/svg+xml' : 'text/html; charset=utf-8');
    response.end(pages.get(pathname) || '<!doctype html><title>Shop</title><h1>Shop</h1>');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  // A browser counts these two as different sites.
  return { pages, url: `http://127.0.0.1:${port}`, elsewhere: `http://localhost:${port}`, stop: () => server.close() };
}

module.exports = { startSandbox, startEmpty, startSite };
