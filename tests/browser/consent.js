// The authorization page and my.js: what a customer can do, and what nobody can.
'use strict';
const assert = require('node:assert/strict');
const { ask, goSignedIn, cameBack, grants } = require('./flow.js');

/** Opens the demo mini program and its authorization window, signed in. */
async function openShop(world) {
  const { page, sandbox, customer } = world;
  await page.goto(`${sandbox.issuer}/sandbox/shop`);
  const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#sign-in')]);
  await popup.click(`button[value="${customer}"]`);
  await popup.waitForURL(/\/authorize\?/);
  return popup;
}

module.exports = [
  {
    name: 'who allows comes back with a code, and the wallet’s assertion is nowhere in the history',
    async run(world) {
      const { page } = world;
      const seen = [];
      page.on('framenavigated', (frame) => seen.push(frame.url()));
      await goSignedIn(world, ask(world));
      await page.click('button[value=confirm]');
      await page.waitForURL(/\/back/);
      const { code, result } = cameBack(world);
      assert.equal(result, 'SUCCESS');
      assert.match(code, /^[A-Za-z0-9]{40,64}$/);
      assert.ok(!seen.some((url) => url.includes('assertion')), seen.join('\n'));
    },
  },
  {
    name: 'who refuses comes back without a code',
    async run(world) {
      await goSignedIn(world, ask(world));
      await world.page.click('button[value=refuse]');
      await world.page.waitForURL(/\/back/);
      assert.deepEqual(cameBack(world), { code: null, result: 'FAIL' });
    },
  },
  {
    name: 'without script all of it works the same',
    options: { javaScriptEnabled: false },
    async run(world) {
      await goSignedIn(world, ask(world));
      await world.page.click('button[value=confirm]');
      await world.page.waitForURL(/\/back/);
      assert.equal(cameBack(world).result, 'SUCCESS');
    },
  },
  {
    name: 'the keyboard alone is enough, and the first button is the one that allows',
    async run(world) {
      const { page } = world;
      await goSignedIn(world, ask(world));
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate(() => document.activeElement.value), 'confirm');
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate(() => document.activeElement.value), 'refuse');
      await page.keyboard.press('Enter');
      await page.waitForURL(/\/back/);
      assert.equal(cameBack(world).result, 'FAIL');
    },
  },
  {
    name: 'a double click makes one code',
    async run(world) {
      const before = (await grants(world)).length;
      await goSignedIn(world, ask(world));
      await world.page.dblclick('button[value=confirm]');
      // Not by waitForURL, which fails when the second click breaks off the first one's way back.
      await world.page.waitForFunction(() => location.pathname.includes('/back'));
      assert.equal(cameBack(world).result, 'SUCCESS');
      assert.equal((await grants(world)).length, before + 1);
    },
  },
  {
    name: 'the back button shows the question anew, and the code that was made stays',
    async run(world) {
      const { page } = world;
      await goSignedIn(world, ask(world));
      await page.click('button[value=confirm]');
      await page.waitForURL(/\/back/);
      const before = (await grants(world)).length;
      await page.goBack();
      await page.waitForSelector('button[value=refuse]');
      await page.click('button[value=refuse]');
      await page.waitForURL(/\/back/);
      assert.equal(cameBack(world).result, 'FAIL');
      assert.equal((await grants(world)).length, before);
    },
  },
  {
    name: 'a page that waited too long says so, shares nothing and can be started again',
    async run(world) {
      const { page, sandbox } = world;
      await goSignedIn(world, ask(world));
      const before = (await grants(world)).length;
      await sandbox.admin('POST', '/admin/v1/sandbox/clock', { advance_s: 600 });
      try {
        await page.click('button[value=confirm]');
        await page.waitForSelector('[role=alert]');
        assert.match(await page.textContent('main'), /open for too long/);
        assert.equal((await grants(world)).length, before);
        await page.click('text=Start again');
        await page.waitForURL(/\/sandbox\/wallet/);
      } finally {
        await sandbox.admin('DELETE', '/admin/v1/sandbox/clock');
      }
    },
  },
  {
    name: 'nobody is sent to a redirect URL that is not registered',
    async run(world) {
      const { page, site, sandbox } = world;
      for (const redirect_url of [`${site.url}/other`, `${site.elsewhere}/back`, 'javascript:alert(1)']) {
        const response = await page.goto(ask(world, { redirect_url }));
        assert.equal(response.status(), 400, redirect_url);
        assert.equal(new URL(page.url()).origin, sandbox.issuer);
        assert.match(await page.textContent('[role=alert]'), /did not register/);
      }
    },
  },
  {
    name: 'a frozen customer’s app hears of an error',
    async run(world) {
      await goSignedIn(world, ask(world), '2160000000000002');
      assert.deepEqual(cameBack(world), { code: null, result: 'ERROR' });
    },
  },
  {
    name: 'a form on another site is refused, even with a ticket that is good',
    async run(world) {
      const { page, site, sandbox } = world;
      await goSignedIn(world, ask(world));
      const fields = await page.$$eval('input[type=hidden]', (inputs) => inputs.map(({ name, value }) => [name, value]));
      const before = (await grants(world)).length;
      const inputs = [...fields, ['decision', 'confirm']]
        .map(([name, value]) => `<input name="${name}" value="${value.replaceAll('&', '&amp;').replaceAll('"', '&quot;')}">`)
        .join('');
      site.pages.set('/evil', `<!doctype html><form method="post" action="${sandbox.issuer}/authorize">${inputs}<button>Win</button></form>`);
      for (const origin of [site.url, site.elsewhere]) {
        await page.goto(`${origin}/evil`);
        const [response] = await Promise.all([page.waitForNavigation(), page.click('button')]);
        assert.equal(response.status(), 403, origin);
      }
      assert.equal((await grants(world)).length, before);
    },
  },
  {
    name: 'no other site can show the page in a frame',
    async run(world) {
      const { page, site } = world;
      await goSignedIn(world, ask(world));
      site.pages.set('/frame', `<!doctype html><iframe src="${ask(world).replaceAll('&', '&amp;')}"></iframe>`);
      for (const origin of [site.url, site.elsewhere]) {
        const refused = page.waitForEvent('console', (message) => message.text().includes('frame-ancestors') || message.text().includes('X-Frame-Options'));
        await page.goto(`${origin}/frame`);
        await refused;
        const frame = page.frames()[1];
        assert.equal(await frame.$('button[value=confirm]'), null);
      }
    },
  },
  {
    name: 'an app’s name and logo stay inert',
    async run(world) {
      const { page, app } = world;
      await goSignedIn(world, ask(world));
      assert.match(await page.textContent('.who'), /<script>document\.title/);
      assert.ok(await page.evaluate(() => document.querySelector('img.logo').naturalWidth > 0), 'the logo is shown');
      assert.match(await page.title(), /^Allow access\?/);
      assert.equal(await page.$$eval('script', (scripts) => scripts.length), 0, app);
    },
  },
  {
    name: 'a page without a session or with a used assertion sends nobody on',
    async run(world) {
      const { page, context, sandbox, browser } = world;
      let used;
      page.on('request', (request) => {
        if (request.url().includes('assertion=')) used = request.url();
      });
      await goSignedIn(world, ask(world));
      const stranger = await browser.newContext();
      const response = await (await stranger.newPage()).goto(used);
      assert.equal(response.status(), 401);
      await stranger.close();
      const [cookie] = await context.cookies(sandbox.issuer);
      assert.ok(cookie.httpOnly && cookie.sameSite === 'Lax', JSON.stringify(cookie));
    },
  },
  {
    name: 'a customer sees what they granted, and ends it',
    async run(world) {
      const { page, sandbox } = world;
      await goSignedIn(world, ask(world));
      await page.click('button[value=confirm]');
      await page.waitForURL(/\/back/);
      await page.goto(`${sandbox.issuer}/authorize/granted`);
      assert.match(await page.textContent('main'), /Corner shop/);
      await page.click('section:has-text("Corner shop") button');
      await page.waitForURL(/ended=1/);
      assert.match(await page.textContent('[role=status]'), /was ended/);
      assert.doesNotMatch(await page.textContent('main'), /Corner shop/);
      assert.ok((await grants(world)).every((grant) => grant.stage !== 'issued'), 'no code of it is left');
    },
  },
  {
    name: 'the demo mini program plays all nine steps, keeper included',
    async run(world) {
      const { page, customer } = world;
      const popup = await openShop(world);
      const closed = popup.waitForEvent('close');
      await popup.click('button[value=confirm]');
      await closed;
      await page.waitForSelector('#step-9.done');
      assert.equal(await page.$$eval('.steps .done', (steps) => steps.length), 9);
      assert.match(await page.textContent('#step-9'), /inquiryUserInfo\w*: \S/);
      assert.ok((await page.textContent('#result')).endsWith(` (${customer}).`));
    },
  },
  {
    name: 'who refuses or closes the window makes my.getAuthCode fail with 11',
    async run(world) {
      const { page } = world;
      const popup = await openShop(world);
      await popup.click('button[value=refuse]');
      await page.waitForFunction(() => document.getElementById('result').textContent.startsWith('Error 11'));
      const [again] = await Promise.all([page.waitForEvent('popup'), page.click('#sign-in')]);
      await again.waitForSelector('button[value=confirm]');
      await again.close();
      await page.waitForFunction(() => document.getElementById('result').textContent.startsWith('Error 11'));
    },
  },
  {
    name: 'my.getAuthCode tells each scope, and only a page of the app’s own origin',
    async run(world) {
      const { page, site, sandbox, app, customer } = world;
      const html = `<!doctype html><script src="${sandbox.issuer}/my.js" data-client-id="${app}"></script><button>Go</button>`;
      site.pages.set('/mini', html);
      const call = () => {
        window.told = [];
        const tell = (kind) => (answer) => window.told.push([kind, answer]);
        document.querySelector('button').onclick = () =>
          my.getAuthCode({ scopes: ['auth_user', 'auth_pay'], success: tell('success'), fail: tell('fail'), complete: tell('complete') });
      };
      await page.goto(`${site.url}/mini`);
      await page.evaluate(call);
      const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('button')]);
      await popup.click(`button[value="${customer}"]`);
      await popup.click('button[value=confirm]');
      await page.waitForFunction(() => window.told.length === 2);
      const [[kind, answer], [last]] = await page.evaluate(() => window.told);
      assert.deepEqual([kind, last, answer.authSuccessScopes, answer.authErrorScopes], ['success', 'complete', ['auth_user'], { auth_pay: 'ACCESS_DENIED' }]);
      assert.match(answer.authCode, /^[A-Za-z0-9]{40,64}$/);

      await page.goto(`${site.elsewhere}/mini`);
      await page.evaluate(call);
      const [strange] = await Promise.all([page.waitForEvent('popup'), page.click('button')]);
      assert.match(await strange.textContent('[role=alert]'), /did not register/);
    },
  },
];
