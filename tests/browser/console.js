// The console: who gets in, what an operator does there, and what nobody else can.
'use strict';
const assert = require('node:assert/strict');
const path = require('node:path');
const { checkLooks } = require('./checks.js');

const PHONE = { width: 360, height: 740 };
const PAGE_BYTES_MAX = 50 * 1024;
const APP = 'wx0000000000000001';

/** Signs in on the way to `route`. */
async function signIn({ page, sandbox }, route = '/') {
  await page.goto(sandbox.console + route);
  await page.fill('#token', sandbox.token);
  await Promise.all([page.waitForNavigation(), page.click('button[type=submit]')]);
  assert.equal(page.url(), sandbox.console + route);
}

/** The pages, each by its route. */
const PAGES = {
  overview: '/',
  apps: '/apps',
  app: `/apps/${APP}`,
  customers: '/customers',
  customer: '/customers/2160000000000001',
  grants: '/grants',
  audit: '/audit',
  sandbox: '/sandbox',
  credentials: '/credentials',
  credential: '/credentials/wechat-sandbox',
  'credential-of-customers': '/credentials/miniprogram-sandbox',
};

/** The pages whose screenshot is kept, and in which colours. */
const IMAGES = {
  overview: 'light',
  app: 'dark',
  credential: 'light',
};

const looks = Object.entries(PAGES).flatMap(([name, route]) =>
  ['light', 'dark'].map((colorScheme) => ({
    name: `the console’s page “${name}” is fit for everyone on a phone, ${colorScheme}`,
    options: { colorScheme, viewport: PHONE },
    async run(world) {
      const { page, sandbox, images } = world;
      const outside = [];
      page.on('request', (request) => {
        if (!request.url().startsWith(sandbox.console)) outside.push(request.url());
      });
      await signIn(world, route);
      await checkLooks(page, name);
      assert.ok((await page.content()).length < PAGE_BYTES_MAX, `${name} is too long`);
      assert.deepEqual(outside, [], 'what was loaded from elsewhere');
      if (IMAGES[name] === colorScheme) {
        await page.screenshot({ path: path.join(images, `console-${name}-${colorScheme}.png`), fullPage: true });
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
      assert.doesNotMatch(await page.content(), new RegExp(APP));
      await page.screenshot({ path: path.join(images, 'console-sign-in-light.png') });
      await checkLooks(page, 'sign-in');
      await page.fill('#token', 'nonsense');
      await Promise.all([page.waitForNavigation(), page.click('button[type=submit]')]);
      assert.match(await page.textContent('[role=alert]'), /not the admin token/);
      await checkLooks(page, 'sign-in refused');
      await page.fill('#token', sandbox.token);
      await Promise.all([page.waitForNavigation(), page.click('button[type=submit]')]);
      assert.equal(page.url(), `${sandbox.console}/apps`, 'where one wanted to go');
      const [cookie] = await context.cookies(sandbox.console);
      assert.ok(cookie.httpOnly && cookie.sameSite === 'Strict', JSON.stringify(cookie));
    },
  },
  {
    name: 'the console is signed out of',
    async run(world) {
      const { page, sandbox } = world;
      await signIn(world);
      await Promise.all([page.waitForNavigation(), page.click('text=Sign out')]);
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
      await page.focus(`a:text("${APP}")`);
      await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
      assert.equal(new URL(page.url()).pathname, `/apps/${APP}`);
    },
  },
  ...looks,
];
