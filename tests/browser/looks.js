// How the authorization page looks: its states, three languages, two colour schemes, a narrow phone.
'use strict';
const assert = require('node:assert/strict');
const { checkLooks } = require('./checks.js');
const { ask, goSignedIn, grants } = require('./flow.js');
const { PHONE, pictured } = require('./pictures.js');

const FROZEN = '2160000000000002';

async function confirm(world) {
  await goSignedIn(world, ask(world));
  await world.page.click('button[value=confirm]');
  await world.page.waitForURL(/\/back/);
}

/** The page that a window of `my.js` ends with, opened by nobody who would close it. */
async function answerWindow(world, decision) {
  await goSignedIn(world, ask(world, { redirect_url: '', origin: world.site.url }));
  await world.page.click(`button[value=${decision}]`);
  await world.page.waitForSelector('#answer', { state: 'attached' });
}

async function playShop(world, decision) {
  const { page, sandbox, customer } = world;
  await page.goto(`${sandbox.issuer}/sandbox/shop`);
  const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#sign-in')]);
  await popup.click(`button[value="${customer}"]`);
  await popup.click(`button[value=${decision}]`);
  await page.waitForFunction(() => document.getElementById('result').textContent);
}

/** The states of the customer’s pages, each with how to come to it. */
const STATES = {
  ask: { open: async (world) => goSignedIn(world, ask(world)) },
  'ask-without-logo': {
    dark: true,
    async open(world) {
      const app = 'MININOLOGO00000001';
      await world.sandbox.admin('POST', '/admin/v1/apps', {
        id: app,
        dialect: 'miniprogram',
        name: `${'Corner shop '.repeat(10)}🏪`,
        settings: { redirect_urls: [`${world.site.url}/back`], scopes: ['auth_base', 'auth_user', 'auth_pay'] },
      });
      await goSignedIn(world, ask({ ...world, app }, { scopes: 'auth_base,auth_user,auth_pay' }));
    },
  },
  'ask-zh-Hant': { options: { locale: 'zh-HK' }, open: async (world) => goSignedIn(world, ask(world)) },
  'ask-zh-Hans': { dark: true, options: { locale: 'zh-CN' }, open: async (world) => goSignedIn(world, ask(world)) },
  allowed: { open: (world) => answerWindow(world, 'confirm') },
  refused: { dark: true, open: (world) => answerWindow(world, 'refuse') },
  granted: {
    dark: true,
    async open(world) {
      await confirm(world);
      await world.page.goto(`${world.sandbox.issuer}/authorize/granted`);
    },
  },
  'granted-ended': {
    async open(world) {
      await confirm(world);
      await world.page.goto(`${world.sandbox.issuer}/authorize/granted`);
      await world.page.click('section:has-text("<script>") button');
      await world.page.waitForURL(/ended=1/);
    },
  },
  'granted-none': { open: (world) => goSignedIn(world, `${world.sandbox.issuer}/authorize/granted`, FROZEN) },
  'error-link': { open: async ({ page, sandbox }) => page.goto(`${sandbox.issuer}/authorize`) },
  'error-app': { dark: true, open: async (world) => world.page.goto(ask(world, { client_id: 'nobody' })) },
  'error-address': { open: async (world) => world.page.goto(ask(world, { redirect_url: 'https://elsewhere.example/' })) },
  'error-sign-in': { dark: true, open: async (world) => world.page.goto(`${ask(world)}&assertion=used`) },
  'error-expired': {
    async open(world) {
      await goSignedIn(world, ask(world));
      await world.sandbox.admin('POST', '/admin/v1/sandbox/clock', { advance_s: 600 });
      await world.page.click('button[value=confirm]');
      await world.page.waitForSelector('[role=alert]');
      await world.sandbox.admin('DELETE', '/admin/v1/sandbox/clock');
    },
  },
  'error-answered': {
    dark: true,
    async open(world) {
      const { page, context, sandbox } = world;
      await goSignedIn(world, ask(world));
      await page.$eval('form', (form) => form.setAttribute('target', '_blank'));
      const [window] = await Promise.all([context.waitForEvent('page'), page.click('button[value=confirm]')]);
      await window.waitForURL(/\/back/);
      const [{ id }] = (await grants(world)).slice(-1);
      await sandbox.admin('POST', `/admin/v1/grants/${id}/revoke`);
      await page.$eval('form', (form) => form.removeAttribute('target'));
      await page.click('button[value=confirm]');
      await page.waitForSelector('[role=alert]');
    },
  },
  'error-forged': {
    async open(world) {
      await goSignedIn(world, ask(world));
      await world.page.$eval('[name=ticket]', (input) => (input.value = 'forged'));
      await world.page.click('button[value=confirm]');
      await world.page.waitForSelector('[role=alert]');
    },
  },
  wallet: { open: async ({ page, sandbox }) => page.goto(`${sandbox.issuer}/sandbox/wallet`) },
  shop: { dark: true, open: async ({ page, sandbox }) => page.goto(`${sandbox.issuer}/sandbox/shop`) },
  'shop-signed-in': {
    async open(world) {
      await playShop(world, 'confirm');
      await world.page.waitForSelector('#step-9.done');
    },
  },
  'shop-refused': { dark: true, open: (world) => playShop(world, 'refuse') },
};

module.exports = [
  ...pictured('', STATES),
  {
    name: 'the two colour schemes differ',
    async run({ page, sandbox }) {
      const colours = [];
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        await page.goto(`${sandbox.issuer}/sandbox/wallet`);
        colours.push(await page.evaluate(() => getComputedStyle(document.querySelector('main')).backgroundColor));
      }
      assert.notEqual(colours[0], colours[1]);
    },
  },
  ...[
    ['en-GB', 'en', 'Allow'],
    ['zh-HK', 'zh-Hant', '允許'],
    ['zh-CN', 'zh-Hans', '允许'],
  ].map(([locale, lang, allow]) => ({
    name: `a browser in ${locale} is spoken to in ${lang}`,
    options: { locale, viewport: PHONE },
    async run(world) {
      await goSignedIn(world, ask(world));
      assert.equal(await world.page.getAttribute('html', 'lang'), lang);
      assert.equal(await world.page.textContent('button[value=confirm]'), allow);
      await checkLooks(world.page, locale);
    },
  })),
];
