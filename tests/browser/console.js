// The console: who gets in, what an operator does there, and what nobody else can.
'use strict';
const assert = require('node:assert/strict');
const { checkLooks } = require('./checks.js');
const { signIn, press, makeApp, ask } = require('./operator.js');
const { PHONE } = require('./pictures.js');

const HOSTILE = '<script>document.title = "taken over"</script><img src=x onerror="document.title=1">';

module.exports = [
  {
    name: 'the console shows nothing before the admin token, and nothing for a wrong one',
    options: { viewport: PHONE },
    async run(world) {
      const { page, sandbox, context } = world;
      const response = await page.goto(`${sandbox.console}/apps`);
      assert.equal(response.status(), 401);
      assert.doesNotMatch(await page.content(), /wx0000000000000001/);
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
      await press(page, `a[aria-label="Revoke the consumer ${name}"]`);
      assert.equal((await read()).status, 200, 'asked once more');
      await press(page, 'button:text("Revoke the consumer")');
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
      await page.fill('#name', 'Chan Siu Ming');
      await press(page, 'text=Make the customer');
      assert.match(await page.textContent('#id-flaw'), /1 to 64 characters/);
      assert.deepEqual(await page.$$eval('#new-id, #name', (fields) => fields.map(({ value }) => value)), ['not an id', 'Chan Siu Ming']);
      assert.equal(await page.evaluate(() => document.activeElement.id), 'new-id', 'the focus is where it went wrong');
      await checkLooks(page, 'customer refused');
    },
  },
  {
    name: 'an app and a credential are ended without script by who is asked once more',
    options: { javaScriptEnabled: false, viewport: PHONE },
    async run(world) {
      const { page, sandbox } = world;
      const { id, secret } = await makeApp(world, 'Ends');
      const asked = { name: 'ends', dialect: 'wechat', app_id: id, base_url: sandbox.issuer, proof: { secret } };
      await sandbox.admin('POST', '/admin/v1/keeper/credentials', asked);
      await signIn(world, '/credentials/ends');
      await press(page, 'text=Remove the credential');
      await press(page, 'text=Leave it as it is');
      assert.equal(new URL(page.url()).pathname, '/credentials/ends');
      await press(page, 'text=Remove the credential');
      await press(page, 'button:text("Remove the credential")');
      assert.match(await page.textContent('[role=status]'), /ends was removed/);
      await page.goto(`${sandbox.console}/apps/${id}`);
      await press(page, 'text=Delete the app');
      await press(page, 'button:text("Delete the app")');
      assert.match(await page.textContent('[role=status]'), /was deleted/);
      assert.equal((await ask(world, { id, secret })).errcode, 40013);
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
      const rule = { dialect: 'wechat', endpoint: '/cgi-bin/token', action: 'delay', delay_ms: 6_500, count: 1 };
      await sandbox.admin('POST', '/admin/v1/sandbox/faults', rule);
      await press(page, 'text=Renew now');
      assert.match(await page.textContent('[role=status]'), /slow to answer.*goes on/);
      assert.equal(await version(), before, 'the one before is still shown');
      await checkLooks(page, 'slow renewal');
      const started = Date.now();
      while ((await version()) === before) {
        assert.ok(Date.now() - started < 30_000, 'the renewal never ended');
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
];
