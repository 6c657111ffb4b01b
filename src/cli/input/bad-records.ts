/** What becomes of input that cannot be a record: it ends the input, or is counted and left out. */
import { MillraceError, type ErrorCode } from '../../index.js'
import { CommandFailure } from '../exit.js'
import type { InputRecord } from './records.js'

/** Faults of one record, not of the stream: the next record may be good. */
const RECORD_FAULTS: ReadonlySet<ErrorCode> = new Set(['ERR_MILLRACE_INVALID_KEY', 'ERR_MILLRACE_RECORD_TOO_LARGE'])

/** Counts bad records, or throws at the first. */
export class BadRecords {
  /** Whether bad records are counted instead of ending the input. */
  readonly skips: boolean
  /** Bad records left out. */
  count = 0
  /** What was wrong with the first of them. */
  first: string | undefined

  constructor(skips: boolean) {
    this.skips = skips
  }

  /** Input that is no record. */
  add(problem: string, code = 'ERR_BAD_RECORD'): void {
    if (!this.skips) throw new CommandFailure(code, problem)
    this.count += 1
    this.first ??= problem
  }

  /** A record that the stream refused with `error`; throws what is no fault of the record alone. */
  refused(error: unknown, record: InputRecord): void {
    if (MillraceError.is(error) && RECORD_FAULTS.has(error.code)) {
      this.add(`${record.where}: ${error.message}`, error.code)
      return
    }
    throw error instanceof CommandFailure ? atLine(error, record) : error
  }
}

/** A codec's complaint, told with the line that it is about. */
function atLine(error: CommandFailure, record: InputRecord): CommandFailure {
  return new CommandFailure(error.code, `${record.where}: ${error.message}`, { cause: error })
}
