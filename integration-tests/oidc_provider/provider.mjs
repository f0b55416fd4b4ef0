// A genuine provider for the tests: its people, clients and port come from a file, and its keys are made at each start.
// Run with the folder that `oidc-provider` is installed in as first argument, and the file as second.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, file] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/package.json`));
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));
const { port, clients, accounts } = JSON.parse(readFileSync(file, 'utf8'));

const key = (type, options, extra) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }),
  kid: randomBytes(8).toString('hex'), use: 'sig', ...extra,
});

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients,
  jwks: { keys: [key('rsa', { modulusLength: 2048 }, { alg: 'RS256' }), key('ec', { namedCurve: 'P-256' }, { alg: 'ES256' })] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  claims: { openid: ['sub', 'sid'], profile: ['name'], email: ['email', 'email_verified'], groups: ['groups'] },
  findAccount: (_, id) => accounts[id] && { accountId: id, claims: () => ({ sub: id, ...accounts[id] }) },
  features: {
    devInteractions: { enabled: true },
    backchannelLogout: { enabled: true },
  },
  // It keeps from calling this very machine, where everything in a test is.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  pkce: { required: () => true },
  ttl: { Session: 3600, Interaction: 3600, Grant: 3600, AuthorizationCode: 60, AccessToken: 600, IdToken: 600 },
});

for (const event of ['server_error', 'backchannel.error']) provider.on(event, (...told) => console.error(event, told.find((one) => one instanceof Error)));
provider.listen(port, '127.0.0.1', () => console.log('ready'));
