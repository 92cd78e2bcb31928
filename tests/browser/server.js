// `mintkeep dev` over a temporary folder, and a merchant's site beside it.
'use strict';
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');

const START_MS_MAX = 20_000;

/** Starts the sandbox; `stop` ends it and removes its folder. */
async function startSandbox(binary) {
  const data = fs.mkdtempSync(path.join(os.tmpdir(), 'mintkeep-browser-'));
  const anyPort = ['--issuer', '--keeper', '--admin'].flatMap((role) => [role, '127.0.0.1:0']);
  const log = fs.openSync(path.join(data, 'log'), 'w');
  const child = spawn(binary, ['dev', '--data', path.join(data, 'data'), ...anyPort], { stdio: ['ignore', 'pipe', log] });
  const urls = await new Promise((resolve, reject) => {
    const found = {};
    const timer = setTimeout(() => reject(new Error('the sandbox did not start')), START_MS_MAX);
    child.on('exit', (code) => reject(new Error(`the sandbox ended with ${code}: ${fs.readFileSync(path.join(data, 'log'))}`)));
    readline.createInterface({ input: child.stdout }).on('line', (line) => {
      const [, role, url] = /^\s+(issuer|keeper|admin)\s+(http:\S+)/.exec(line) || [];
      if (role) found[role] = url;
      if (line.startsWith('Ctrl-C')) {
        clearTimeout(timer);
        resolve(found);
      }
    });
  });
  const token = fs.readFileSync(path.join(data, 'data', 'admin.token'), 'utf8').trim();
  async function admin(method, route, body) {
    const response = await fetch(urls.admin + route, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }
  async function stop() {
    child.removeAllListeners('exit');
    const ended = new Promise((resolve) => child.on('exit', resolve));
    child.kill('SIGTERM');
    await ended;
    fs.rmSync(data, { recursive: true });
  }
  return { ...urls, console: urls.admin, token, admin, stop };
}

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

module.exports = { startSandbox, startSite };
