'use strict';

// What a client's runner says, one line per check, and where it is told to go.

const env = process.env;

exports.TOKENS = env.MINTKEEP_TOKENS; // who hands out tokens: the issuer, or the keeper's drop-in
exports.PLATFORM = env.MINTKEEP_PLATFORM; // who takes tokens: always the issuer
exports.APP = env.MINTKEEP_APP;
exports.SECRET = env.MINTKEEP_SECRET;
exports.WRONG_SECRET = Number(env.MINTKEEP_WRONG_SECRET); // WeChat's code for one
exports.AT_THE_KEEPER = env.MINTKEEP_ROLE === 'keeper';

exports.run = async function (client, body) {
  let failed = 0;
  const checks = {
    that(sentence, holds, seen) {
      if (holds) {
        console.log(`ok ${client}: ${sentence}`);
      } else {
        failed += 1;
        console.log(`not ok ${client}: ${sentence}: ${JSON.stringify(seen)}`);
      }
    },
    // `call` must reject with the library's own error: `name` and `code` are its fields.
    async rejects(sentence, name, code, call) {
      try {
        await call();
        checks.that(sentence, false, 'no error');
      } catch (error) {
        checks.that(sentence, error.name === name && error.code === code, [error.name, error.code, error.message]);
      }
    },
  };
  try {
    await body(checks);
  } catch (error) {
    failed += 1;
    console.log(`not ok ${client}: it ran to its end: ${JSON.stringify(error.stack)}`);
  }
  console.log('done');
  process.exit(failed ? 1 : 0);
};
