/** How a client in Java is told of the development authority. */
import { join } from 'node:path'
import { firstFailure } from './install.js'

/** Java trusts what is in a key store of its own. */
export function trustStore(authority: string, folder: string): NodeJS.ProcessEnv {
  const store = join(folder, 'trust.p12')
  const into = ['-keystore', store, '-storepass', 'millrace']
  const failed = firstFailure([
    'the authority could not be imported',
    'keytool',
    ['-importcert', '-noprompt', '-alias', 'millrace', '-file', authority, ...into],
  ])
  if (failed !== undefined) throw new Error(failed)
  return { JDK_JAVA_OPTIONS: `-Djavax.net.ssl.trustStore=${store} -Djavax.net.ssl.trustStorePassword=millrace` }
}
