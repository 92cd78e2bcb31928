// How the pages look: three languages, two colour schemes, a narrow phone, and what a screen reader is told.
'use strict';
const assert = require('node:assert/strict');
const path = require('node:path');
const { checkLooks } = require('./checks.js');
const { ask, goSignedIn } = require('./flow.js');

/** The pages, each with how to come to it. */
const PAGES = {
  ask: async (world) => goSignedIn(world, ask(world)),
  granted: async (world) => {
    await goSignedIn(world, ask(world));
    await world.page.click('button[value=confirm]');
    await world.page.waitForURL(/\/back/);
    await world.page.goto(`${world.sandbox.issuer}/authorize/granted`);
  },
  'granted-none': async (world) => goSignedIn(world, `${world.sandbox.issuer}/authorize/granted`, '2160000000000002'),
  error: async (world) => world.page.goto(ask(world, { client_id: 'nobody' })),
  done: async (world) => {
    await goSignedIn(world, ask(world, { redirect_url: '', origin: world.site.url }));
    await world.page.click('button[value=refuse]');
    await world.page.waitForSelector('#answer', { state: 'attached' });
  },
  wallet: async (world) => world.page.goto(`${world.sandbox.issuer}/sandbox/wallet`),
  shop: async (world) => world.page.goto(`${world.sandbox.issuer}/sandbox/shop`),
};

const PHONE = { width: 360, height: 740 };

const looks = Object.entries(PAGES).flatMap(([name, open]) =>
  ['light', 'dark'].map((colorScheme) => ({
    name: `the page “${name}” is fit for everyone on a phone, ${colorScheme}`,
    options: { colorScheme, viewport: PHONE },
    async run(world) {
      await open(world);
      await checkLooks(world.page, name);
      const image = `${name}-${colorScheme}.png`;
      if (['ask-light.png', 'granted-dark.png', 'wallet-light.png', 'shop-light.png', 'error-dark.png'].includes(image)) {
        await world.page.screenshot({ path: path.join(world.images, image) });
      }
    },
  })),
);

module.exports = [
  ...looks,
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
      if (lang === 'zh-Hant') await world.page.screenshot({ path: path.join(world.images, 'ask-zh-Hant.png') });
    },
  })),
];
