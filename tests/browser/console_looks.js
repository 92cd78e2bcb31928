// How the console looks: the states of its pages, long names, wide screens.
'use strict';
const path = require('node:path');
const { setTimeout: pause } = require('node:timers/promises');
const assert = require('node:assert/strict');
const { checkLooks } = require('./checks.js');
const { signIn, press, makeApp, live } = require('./operator.js');
const { pictured, picture } = require('./pictures.js');

const MINI = 'miniprogram-sandbox';
const CUSTOMER = '2160000000000001';
/** How often a state is looked for that comes by itself. */
const LOOKS_MAX = 300;

/** A page behind the sign-in. */
const at = (route, prepare) => async (world) => {
  if (prepare) await prepare(world);
  await signIn(world, route);
};
/** A page of a server in which nothing was made. */
const empty = (route) => (world) => signIn({ ...world, sandbox: world.empty }, route);

async function grant({ sandbox }) {
  const asked = { client_id: 'MINI0000000000000001', customer_id: CUSTOMER, scopes: ['auth_user'] };
  await sandbox.admin('POST', '/admin/v1/codes', asked);
}

/** Has the keeper hold a token of the sandbox's customer. */
async function exchange({ sandbox }) {
  const asked = { client_id: 'MINI0000000000000002', customer_id: CUSTOMER, scopes: ['auth_user'] };
  const { auth_code } = await sandbox.admin('POST', '/admin/v1/codes', asked);
  const answer = await fetch(`${sandbox.keeper}/v1/exchanges/${MINI}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${sandbox.consumerKey}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ auth_code }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

/**
 * Loses the answers to a renewal until it is too late to repeat the request, so that nobody knows whether the
 * refresh token is spent.
 */
async function loseAnswer(world) {
  const { sandbox } = world;
  await exchange(world);
  const rule = { dialect: 'miniprogram', action: 'drop_after' };
  const { id } = await sandbox.admin('POST', '/admin/v1/sandbox/faults', rule);
  const kept = `/admin/v1/keeper/tokens/${MINI}/${CUSTOMER}`;
  await sandbox.admin('POST', `${kept}/refresh`).catch((error) => error);
  await sandbox.admin('POST', '/admin/v1/sandbox/clock', { advance_s: 61 });
  let state = '';
  for (let looks = 0; looks < LOOKS_MAX && !state.startsWith('needs_'); looks += 1) {
    await pause(100);
    ({ state } = (await sandbox.admin('GET', `${kept}/explain`)).token);
  }
  assert.match(state, /^needs_/, 'the keeper gives up');
  await sandbox.admin('DELETE', '/admin/v1/sandbox/clock');
  await sandbox.admin('DELETE', `/admin/v1/sandbox/faults/${id}`);
}

/** A token that nothing but a person brings back: its app has another secret. */
async function mislead(world) {
  const { sandbox } = world;
  const { id } = await makeApp(world, 'Misled');
  const asked = { name: 'misled-shop', dialect: 'wechat', app_id: id, base_url: sandbox.issuer, proof: { secret: 'wrong' } };
  await sandbox.admin('POST', '/admin/v1/keeper/credentials', asked).catch((error) => error);
  await sandbox.admin('POST', '/admin/v1/keeper/tokens/misled-shop/refresh').catch((error) => error);
}

/** The states of the console’s pages, each with how to come to it. */
const STATES = {
  'sign-in': { open: ({ page, sandbox }) => page.goto(sandbox.console) },
  'sign-in-wrong': {
    dark: true,
    async open({ page, sandbox }) {
      await page.goto(sandbox.console);
      await page.fill('#token', 'nonsense');
      await press(page, 'button[type=submit]');
    },
  },
  'form-refused': {
    async open(world) {
      await signIn(world, '/customers');
      await world.page.$eval('main [name=form_token]', (input) => (input.value = 'of another session'));
      await world.page.fill('#new-id', 'somebody');
      await press(world.page, 'text=Make the customer');
    },
  },
  overview: { open: at('/', mislead) },
  'overview-in-doubt': { dark: true, open: at('/', loseAnswer) },
  'overview-empty': { open: empty('/') },
  menu: {
    async open(world) {
      await signIn(world, '/services');
      await world.page.click('summary');
    },
  },
  apps: { open: at('/apps') },
  'apps-empty': { dark: true, open: empty('/apps') },
  'apps-further': { open: at('/apps?after=zzz') },
  app: { dark: true, open: at('/apps/wx0000000000000001') },
  'app-of-keys': { open: at('/apps/MINI0000000000000001') },
  'app-made': {
    dark: true,
    async open(world) {
      await signIn(world, '/apps');
      await world.page.fill('#name', 'Made by hand');
      await press(world.page, 'text=Make the app');
    },
  },
  'app-refused': {
    async open(world) {
      await signIn(world, '/apps');
      await world.page.fill('#name', 'Second corner shop');
      await world.page.fill('#id', 'wx0000000000000001');
      await press(world.page, 'text=Make the app');
    },
  },
  'app-delete': { dark: true, open: at('/apps/wx0000000000000001/delete') },
  'app-disabled': {
    async open(world) {
      const { id } = await makeApp(world, 'Resting');
      await signIn(world, `/apps/${id}`);
      await press(world.page, 'text=Disable the app');
    },
  },
  customers: { open: at('/customers') },
  'customers-empty': { dark: true, open: empty('/customers') },
  'customers-many': {
    dark: true,
    async open(world) {
      const { sandbox } = world;
      const names = Array.from({ length: 25 }, (_, n) => `C-of-many-${n}`);
      await Promise.all(names.map((id) => sandbox.admin('PUT', `/admin/v1/customers/${id}`, { profile: {} })));
      await signIn(world, '/customers?after=2160000000000001');
    },
  },
  'customers-further': { open: at('/customers?after=zzz') },
  customer: { open: at(`/customers/${CUSTOMER}`) },
  'customer-frozen': { dark: true, open: at('/customers/2160000000000002') },
  grants: { dark: true, open: at('/grants', grant) },
  'grants-empty': { open: empty('/grants') },
  'grants-none': { open: at('/grants?customer=nobody') },
  'grants-further': {
    dark: true,
    async open(world) {
      await grant(world);
      const { grants } = await world.sandbox.admin('GET', '/admin/v1/grants?most=1000');
      await signIn(world, `/grants?after=${grants.at(-1).id}`);
    },
  },
  services: { dark: true, open: at('/services') },
  'services-empty': { open: empty('/services') },
  'services-further': { open: at('/services?after=zzz') },
  audit: { open: at('/audit') },
  'audit-empty': { dark: true, open: empty('/audit') },
  'audit-older': { dark: true, open: at('/audit?before=3') },
  'audit-none': { open: at('/audit?about=no+such+line') },
  sandbox: { open: at('/sandbox') },
  'sandbox-moved': {
    dark: true,
    async open(world) {
      const rule = { dialect: 'wechat', endpoint: '/cgi-bin/stable_token', action: 'delay', delay_ms: 1, count: 2 };
      await world.sandbox.admin('POST', '/admin/v1/sandbox/faults', rule);
      await world.sandbox.admin('POST', '/admin/v1/sandbox/clock', { advance_s: 60 });
      await signIn(world, '/sandbox');
    },
  },
  credentials: { open: at('/credentials') },
  'credentials-empty': { dark: true, open: empty('/credentials') },
  'credentials-further': { open: at('/credentials?after=zzz') },
  credential: { open: at('/credentials/corner-shop', live) },
  'credential-again': { dark: true, open: at('/credentials/dingtalk-sandbox') },
  'credential-of-customers': { open: at(`/credentials/${MINI}`, exchange) },
  'credential-without-customers': { dark: true, open: at('/credentials/alipayhk-sandbox') },
  'credential-further-customers': { open: at(`/credentials/${MINI}?after=zzz`) },
  'credential-misled': { dark: true, open: at('/credentials/misled-shop', mislead) },
  'credential-not-yet': {
    async open(world) {
      const { sandbox } = world;
      const rule = { dialect: 'wechat', endpoint: '/cgi-bin/token', action: 'delay', delay_ms: 30_000 };
      const { id: fault } = await sandbox.admin('POST', '/admin/v1/sandbox/faults', rule);
      const { id, secret } = await makeApp(world, 'Slow from the start');
      const asked = { name: 'not-yet', dialect: 'wechat', legacy: true, app_id: id, base_url: sandbox.issuer, proof: { secret } };
      await sandbox.admin('POST', '/admin/v1/keeper/credentials', asked);
      await signIn(world, '/credentials/not-yet');
      await sandbox.admin('DELETE', `/admin/v1/sandbox/faults/${fault}`);
    },
  },
  'credential-refused': {
    dark: true,
    async open(world) {
      await signIn(world, '/credentials');
      await world.page.fill('#name', 'corner-shop-2');
      await world.page.fill('#app', 'wx0000000000000001');
      await press(world.page, 'text=Add the credential');
    },
  },
  'credential-remove': { open: at('/credentials/wechat-sandbox/remove') },
  'customer-token': { open: at(`/credentials/${MINI}/customers/${CUSTOMER}`, exchange) },
  'customer-token-in-doubt': { dark: true, open: at(`/credentials/${MINI}/customers/${CUSTOMER}`, loseAnswer) },
  'customer-token-not-there': { open: at(`/credentials/${MINI}/customers/nobody`) },
  consumers: { open: at('/consumers') },
  'consumers-empty': { dark: true, open: empty('/consumers') },
  'consumers-further': { open: at('/consumers?after=zzz') },
  'consumer-made': {
    dark: true,
    async open(world) {
      await signIn(world, '/consumers');
      await world.page.fill('#name', 'till-of-the-picture');
      await world.page.check('[name=all_credentials]');
      await press(world.page, 'text=Make the consumer');
    },
  },
  'consumer-refused': {
    async open(world) {
      await signIn(world, '/consumers');
      await world.page.fill('#name', 'desk');
      await press(world.page, 'text=Make the consumer');
    },
  },
  'consumer-revoke': { dark: true, open: at('/consumers/sandbox/revoke') },
  'not-there': { dark: true, open: at('/apps/nobody') },
  'sign-in-too-many': {
    async open({ page, empty: { console } }) {
      await page.goto(console);
      for (let wrong = 0; wrong < 11; wrong += 1) {
        await page.fill('#token', 'nonsense');
        await press(page, 'button[type=submit]');
      }
      assert.match(await page.textContent('[role=alert]'), /Too many/);
    },
  },
};

module.exports = [
  ...pictured('console-', STATES),
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
      await signIn(world, '/credentials/corner-shop');
      await checkLooks(page, 'credential');
      await picture(page, path.join(images, 'console-life-wide.png'), await page.$('section:has(#life)'));
      await page.goto(`${world.sandbox.console}/`);
      await checkLooks(page, 'overview');
      await picture(page, path.join(images, 'console-overview-wide.png'));
    },
  },
];
