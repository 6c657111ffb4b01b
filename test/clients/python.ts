/**
 * Python programs in virtual environments of the test set-up's own, in the folder of downloads: each made once, and made
 * anew when its version changes.
 */
import { join } from 'node:path'
import { firstFailure, install, type Installed, type Missing } from './install.js'

/** The release of boto3 that tests run. */
export const BOTO3 = '1.44.8'
/** The release of the AWS CLI that tests run. */
export const AWS_CLI = '1.46.3'

/** Finds Python, and installs a package for it where that was not done. */
export function pythonWith(name: string, version: string): Installed | Missing {
  return install(`${name}-${version}`, '', [], (folder) => {
    const python = join(folder, 'bin', 'python')
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `${name}==${version}`]
    return firstFailure(
      ['Python 3 with venv is missing', 'python3', ['-m', 'venv', folder]],
      [`${name} ${version} could not be installed`, python, pip],
    )
  })
}
