// What every page must be: fit for a narrow phone and for an accessibility checker.
'use strict';
const assert = require('node:assert/strict');
const axe = require('axe-core');

/** No sideways scrolling, and nothing that an accessibility checker complains of. */
async function checkLooks(page, what) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(wide, 0, `${what} is ${wide} px too wide`);
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  assert.deepEqual(told, [], what);
}

module.exports = { checkLooks };
