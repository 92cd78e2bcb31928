// oidc-provider with its own in-memory store: opaque tokens by client_credentials, and introspection.
import { Provider } from 'oidc-provider';

const [, , port, secret] = process.argv;
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: 'bench',
    client_secret: secret,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  }],
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    devInteractions: { enabled: false },
  },
});
provider.listen(Number(port), '127.0.0.1');
