// The console: who gets in, what an operator does there, and what nobody else can.
'use strict';
const assert = require('node:assert/strict');
const path = require('node:path');
const { checkLooks } = require('./checks.js');

const PHONE = { width: 360, height: 740 };
const PAGE_BYTES_MAX = 50 * 1024;
const HOSTILE = '<script>document.title = "taken over"</script><img src=x onerror="document.title=1">';

/** Signs in on the way to `route`. */
async function signIn({ page, sandbox }, route = '/') {
  await page.goto(sandbox.console + route);
  await page.fill('#token', sandbox.token);
  await Promise.all([page.waitForNavigation(), page.click('button[type=submit]')]);
  assert.equal(page.url(), sandbox.console + route);
}

/** Presses a button and waits for the page that it leads to. */
async function press(page, button) {
  await Promise.all([page.waitForNavigation(), page.click(button)]);
}

/** An app of its own for one case: its id, and its secret as it was made. */
async function makeApp({ sandbox }, name) {
  const made = await sandbox.admin('POST', '/admin/v1/apps', { dialect: 'wechat', name });
  return { id: made.app.id, secret: made.secret };
}

/** What WeChat's token endpoint answers the app. */
async function ask({ sandbox }, { id, secret }) {
  const query = new URLSearchParams({ grant_type: 'client_credential', appid: id, secret });
  return (await fetch(`${sandbox.issuer}/cgi-bin/token?${query}`)).json();
}

/** A credential of its own with a day behind it: renewals, and a failure. Its token has a successor to live beside. */
async function live(world) {
  const { sandbox } = world;
  const name = 'corner-shop';
  const renew = () => sandbox.admin('POST', `/admin/v1/keeper/tokens/${name}/refresh`).catch((error) => error);
  const pass = (minutes) => sandbox.admin('POST', '/admin/v1/sandbox/clock', { advance_s: minutes * 60 });
  const { credentials } = await sandbox.admin('GET', '/admin/v1/keeper/credentials');
  if (credentials.some((credential) => credential.name === name)) return;
  const { id, secret } = await makeApp(world, 'Corner shop');
  const asked = { name, dialect: 'wechat', legacy: true, app_id: id, base_url: sandbox.issuer, proof: { secret } };
  await sandbox.admin('POST', '/admin/v1/keeper/credentials', asked);
  await renew();
  for (const minutes of [28, 19]) {
    await pass(minutes);
    await renew();
  }
  await pass(12);
  const rule = { dialect: 'wechat', endpoint: '/cgi-bin/token', action: 'answer', code: '-1' };
  const { id: fault } = await sandbox.admin('POST', '/admin/v1/sandbox/faults', rule);
  await renew();
  await sandbox.admin('DELETE', `/admin/v1/sandbox/faults/${fault}`);
  await pass(9);
  await renew();
  await pass(16);
}

/** The pages, each by its route and with what is made for it to show. */
const PAGES = {
  overview: { route: '/', image: 'light' },
  apps: { route: '/apps', image: 'light' },
  app: { route: '/apps/wx0000000000000001', image: 'dark' },
  'app-of-keys': { route: '/apps/MINI0000000000000001' },
  customers: { route: '/customers', image: 'light' },
  services: { route: '/services', image: 'dark' },
  customer: { route: '/customers/2160000000000001', image: 'light' },
  grants: { route: '/grants', image: 'dark', prepare: ({ sandbox }) => grant(sandbox) },
  'grants-none': { route: '/grants?customer=nobody' },
  audit: { route: '/audit', image: 'light' },
  sandbox: { route: '/sandbox', image: 'dark' },
  credentials: { route: '/credentials', image: 'light' },
  consumers: { route: '/consumers', image: 'light' },
  credential: { route: '/credentials/corner-shop', image: 'light', prepare: live },
  'credential-again': { route: '/credentials/dingtalk-sandbox' },
  'credential-of-customers': { route: '/credentials/miniprogram-sandbox' },
  'not-there': { route: '/apps/nobody' },
};

async function grant(sandbox) {
  const asked = { client_id: 'MINI0000000000000001', customer_id: '2160000000000001', scopes: ['auth_user'] };
  await sandbox.admin('POST', '/admin/v1/codes', asked);
}

const looks = Object.entries(PAGES).flatMap(([name, { route, image, prepare }]) =>
  ['light', 'dark'].map((colorScheme) => ({
    name: `the console’s page “${name}” is fit for everyone on a phone, ${colorScheme}`,
    options: { colorScheme, viewport: PHONE },
    async run(world) {
      const { page, sandbox, images } = world;
      if (prepare) await prepare(world);
      const outside = [];
      page.on('request', (request) => {
        if (!request.url().startsWith(sandbox.console)) outside.push(request.url());
      });
      await signIn(world, route);
      await checkLooks(page, name);
      assert.ok(Buffer.byteLength(await page.content()) < PAGE_BYTES_MAX, `${name} is too long`);
      assert.deepEqual(outside, [], 'what was loaded from elsewhere');
      if (image === colorScheme) {
        await page.screenshot({ path: path.join(images, `console-${name}-${colorScheme}.png`) });
      }
    },
  })),
);

module.exports = [
  {
    name: 'the console shows nothing before the admin token, and nothing for a wrong one',
    options: { viewport: PHONE },
    async run(world) {
      const { page, sandbox, context, images } = world;
      const response = await page.goto(`${sandbox.console}/apps`);
      assert.equal(response.status(), 401);
      assert.doesNotMatch(await page.content(), /wx0000000000000001/);
      await page.screenshot({ path: path.join(images, 'console-sign-in-light.png') });
      await checkLooks(page, 'sign-in');
      await page.fill('#token', 'nonsense');
      await press(page, 'button[type=submit]');
      assert.match(await page.textContent('[role=alert]'), /not the admin token/);
      await checkLooks(page, 'sign-in refused');
      await page.fill('#token', sandbox.token);
      await press(page, 'button[type=submit]');
      assert.equal(page.url(), `${sandbox.console}/apps`, 'where one wanted to go');
      const [cookie] = await context.cookies(sandbox.console);
      assert.ok(cookie.httpOnly && cookie.sameSite === 'Strict', JSON.stringify(cookie));
    },
  },
  {
    name: 'the console is signed out of, and the back button shows nothing more',
    async run(world) {
      const { page, sandbox } = world;
      await signIn(world, '/apps');
      await press(page, 'text=Sign out');
      await page.goBack();
      await page.waitForSelector('#token');
      const response = await page.goto(`${sandbox.console}/apps`);
      assert.equal(response.status(), 401);
    },
  },
  {
    name: 'the keyboard alone is enough to go from the sign-in to an app',
    async run(world) {
      const { page, sandbox } = world;
      await page.goto(`${sandbox.console}/`);
      await page.keyboard.press('Tab');
      await page.keyboard.type(sandbox.token);
      await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate(() => document.activeElement.textContent), 'To the content');
      await page.focus('nav a:text("Apps")');
      await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
      await page.focus('a:text("wx0000000000000001")');
      await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
      assert.equal(new URL(page.url()).pathname, '/apps/wx0000000000000001');
    },
  },
  ...[true, false].map((javaScriptEnabled) => ({
    name: `a secret is rotated in the console, works, and is shown once, ${javaScriptEnabled ? 'with' : 'without'} script`,
    options: { javaScriptEnabled },
    async run(world) {
      const { page } = world;
      const app = await makeApp(world, 'Rotated');
      await signIn(world, `/apps/${app.id}`);
      await page.selectOption('#overlap', '0');
      await press(page, 'text=Rotate the secret');
      const secret = await page.textContent('pre.secret');
      assert.ok((await ask(world, { ...app, secret })).access_token);
      assert.equal((await ask(world, app)).errcode, 40001, 'the old one has ended');
      await page.reload();
      assert.doesNotMatch(await page.content(), new RegExp(secret));
    },
  })),
  {
    name: 'an app’s tokens are revoked only by who ticks that they are sure',
    async run(world) {
      const { page, sandbox } = world;
      const app = await makeApp(world, 'Leaked');
      const { access_token: token } = await ask(world, app);
      const state = async () => (await sandbox.admin('POST', '/admin/v1/inspect', { token })).state;
      await signIn(world, `/apps/${app.id}`);
      await page.click('text=Revoke all tokens');
      assert.equal(await state(), 'good', 'the browser asks for the tick');
      await page.check('input[name=sure]');
      await press(page, 'text=Revoke all tokens');
      assert.match(await page.textContent('[role=status]'), /have ended/);
      assert.notEqual(await state(), 'good');
    },
  },
  ...[true, false].map((javaScriptEnabled) => ({
    name: `a consumer is made in the console, reads a token, and is revoked, ${javaScriptEnabled ? 'with' : 'without'} script`,
    options: { javaScriptEnabled, viewport: PHONE },
    async run(world) {
      const { page, sandbox } = world;
      const name = `till-${javaScriptEnabled}`;
      await signIn(world, '/consumers');
      await page.fill('#name', name);
      await page.fill('#credentials', 'wechat-sandbox');
      await press(page, 'text=Make the consumer');
      const key = await page.textContent('pre[aria-label="Its key"]');
      if (javaScriptEnabled) await checkLooks(page, 'consumer made');
      const read = () => fetch(`${sandbox.keeper}/v1/tokens/wechat-sandbox`, { headers: { Authorization: `Bearer ${key}` } });
      assert.equal((await read()).status, 200);
      await page.reload();
      assert.doesNotMatch(await page.content(), new RegExp(key));
      await press(page, `button[aria-label="Revoke the consumer ${name}"]`);
      assert.equal((await read()).status, 401);
    },
  })),
  {
    name: 'an app and a customer are made in the console, and a name that is refused says why',
    async run(world) {
      const { page, sandbox } = world;
      await signIn(world, '/apps');
      await page.fill('#name', 'Made by hand');
      await press(page, 'text=Make the app');
      const secret = await page.textContent('pre[aria-label="Its secret"]');
      const id = new URL(page.url()).pathname.split('/').pop();
      assert.ok((await ask(world, { id, secret })).access_token);
      await page.goto(`${sandbox.console}/customers`);
      await page.fill('#new-id', 'C-by-hand');
      await press(page, 'text=Make the customer');
      assert.match(await page.textContent('[role=status]'), /was made/);
      await page.goto(`${sandbox.console}/customers`);
      await page.fill('#new-id', 'not an id');
      await press(page, 'text=Make the customer');
      assert.match(await page.textContent('[role=alert]'), /1 to 64 characters/);
      await checkLooks(page, 'customer refused');
    },
  },
  {
    name: 'while the platform is slow the page of a renewal says so and comes back, and the renewal goes on',
    async run(world) {
      const { page, sandbox } = world;
      const name = 'slow-shop';
      const { id, secret } = await makeApp(world, 'Slow shop');
      const asked = { name, dialect: 'wechat', legacy: true, app_id: id, base_url: sandbox.issuer, proof: { secret } };
      await sandbox.admin('POST', '/admin/v1/keeper/credentials', asked);
      await sandbox.admin('POST', `/admin/v1/keeper/tokens/${name}/refresh`);
      await signIn(world, `/credentials/${name}`);
      const version = () => page.textContent('dt:text("Version") + dd');
      const before = await version();
      const rule = { dialect: 'wechat', endpoint: '/cgi-bin/token', action: 'delay', delay_ms: 4_500, count: 1 };
      await sandbox.admin('POST', '/admin/v1/sandbox/faults', rule);
      await press(page, 'text=Renew now');
      assert.match(await page.textContent('[role=status]'), /slow to answer.*goes on/);
      assert.equal(await version(), before, 'the one before is still shown');
      await checkLooks(page, 'slow renewal');
      const started = Date.now();
      while ((await version()) === before) {
        assert.ok(Date.now() - started < 10_000, 'the renewal never ended');
        await page.reload();
      }
    },
  },
  {
    name: 'a token is renewed in the console, and its plot grows',
    async run(world) {
      const { page } = world;
      await signIn(world, '/credentials/wechat-sandbox');
      const before = await page.textContent('dt:text("Version") + dd');
      await press(page, 'text=Renew now');
      assert.match(await page.textContent('[role=status]'), /was renewed/);
      assert.notEqual(await page.textContent('dt:text("Version") + dd'), before);
      assert.ok((await page.$$('svg[role=img] rect.life')).length > 0);
    },
  },
  {
    name: 'the sandbox’s clock is moved and set back in the console, which stays signed in',
    async run(world) {
      const { page, sandbox } = world;
      await sandbox.admin('DELETE', '/admin/v1/sandbox/clock');
      await signIn(world, '/sandbox');
      await page.fill('#advance', '86400');
      await press(page, 'text=Move the clock');
      assert.match(await page.textContent('main'), /1 d ahead/);
      await press(page, 'text=Back to the system’s time');
      assert.match(await page.textContent('main'), /, the system’s time\./);
    },
  },
  {
    name: 'another site’s form changes nothing in the console, even with a form token that is good',
    async run(world) {
      const { page, site, sandbox } = world;
      const app = await makeApp(world, 'Aimed at');
      await signIn(world, `/apps/${app.id}`);
      const token = await page.getAttribute('input[name=form_token]', 'value');
      const action = `${sandbox.console}/apps/${app.id}/disable`;
      site.pages.set('/evil', `<!doctype html><form method="post" action="${action}"><input name="form_token" value="${token}"><button>Win</button></form>`);
      // The one differs from the console by its port alone, and so gets the cookie; the other is another site.
      for (const [origin, status] of [[site.url, 403], [site.elsewhere, 401]]) {
        await page.goto(`${origin}/evil`);
        const [response] = await Promise.all([page.waitForNavigation(), page.click('button')]);
        assert.equal(response.status(), status, origin);
      }
      assert.equal((await sandbox.admin('GET', `/admin/v1/apps/${app.id}`)).status, 'active');
    },
  },
  {
    name: 'no site can show the console in a frame',
    async run(world) {
      const { page, site, sandbox } = world;
      await signIn(world);
      site.pages.set('/frame-console', `<!doctype html><iframe src="${sandbox.console}/apps"></iframe>`);
      for (const origin of [site.url, site.elsewhere]) {
        const refused = page.waitForEvent('console', (message) => /frame-ancestors|X-Frame-Options/.test(message.text()));
        await page.goto(`${origin}/frame-console`);
        await refused;
        assert.equal(await page.frames()[1].$('main'), null);
      }
    },
  },
  {
    name: 'whatever an app is called and shows as its logo stays inert in the console',
    async run(world) {
      const { page, sandbox, site } = world;
      const app = await makeApp(world, HOSTILE);
      await sandbox.admin('PATCH', `/admin/v1/apps/${app.id}`, { settings: { logo_url: `${site.url}/logo.svg` } });
      const loaded = [];
      page.on('request', (request) => loaded.push(request.url()));
      await signIn(world, `/apps/${app.id}`);
      assert.equal(await page.textContent('h1'), HOSTILE);
      assert.match(await page.textContent('main'), /logo\.svg/);
      assert.ok(!loaded.some((url) => url.startsWith(site.url)), 'no logo is loaded');
      assert.match(await page.title(), /^<script>/);
      await page.goto(`${sandbox.console}/apps`);
      assert.equal(await page.title(), 'Apps – Mintkeep');
      assert.equal(await page.$$eval('script, main img', (found) => found.length), 0);
    },
  },
  ...looks,
  ...[660, 1280].map((width) => ({
    name: `long ids and names keep within a screen of ${width} px, beside columns that can be read`,
    options: { viewport: { width, height: 800 } },
    async run(world) {
      const { page, sandbox } = world;
      const long = 'x'.repeat(64);
      const made = await sandbox.admin('GET', '/admin/v1/apps?most=1000');
      if (!made.apps.some(({ id }) => id === long)) {
        await sandbox.admin('POST', '/admin/v1/apps', { id: long, dialect: 'miniprogram', name: 'W'.repeat(128) });
      }
      await sandbox.admin('PUT', `/admin/v1/customers/${long}`, { profile: { nick_name: 'W'.repeat(1024) } });
      await sandbox.admin('POST', '/admin/v1/codes', { client_id: long, customer_id: long, scopes: ['auth_user'] });
      await signIn(world);
      for (const route of ['/apps', '/customers', `/customers/${long}`, `/grants?app=${long}`, '/services', '/credentials', '/consumers', '/audit']) {
        await page.goto(sandbox.console + route);
        await checkLooks(page, route);
        const heights = await page.$$eval('table.rows tbody tr', (rows) => rows.map((row) => row.offsetHeight));
        assert.ok(Math.max(0, ...heights) < 260, `${route} has rows of ${heights} px`);
      }
    },
  })),
  {
    name: 'the console is fit for a wide screen too',
    options: { viewport: { width: 1000, height: 420 } },
    async run(world) {
      const { page, images } = world;
      await live(world);
      for (const [name, route] of [['credential', '/credentials/corner-shop'], ['overview', '/']]) {
        await signIn(world, route);
        await checkLooks(page, name);
        const life = await page.$('section:has(#life)');
        if (life) await life.screenshot({ path: path.join(images, 'console-life-wide.png') });
        else await page.screenshot({ path: path.join(images, `console-${name}-wide.png`) });
        await press(page, 'text=Sign out');
      }
    },
  },
];
