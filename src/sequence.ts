/** What is read one after the other until it ends or is closed, in a loop or by hand. */
export abstract class Sequence<V> implements AsyncIterableIterator<V>, AsyncDisposable, Disposable {
  /** The next one. */
  abstract next(): Promise<IteratorResult<V>>

  /** Ends it. Calls that wait end with `done`. */
  abstract close(): void

  /** Ends it when a `for await` loop is left. */
  async return(): Promise<IteratorResult<V>> {
    this.close()
    return { done: true, value: undefined }
  }

  /** Itself: a `for await` loop goes on where it stands. */
  [Symbol.asyncIterator](): this {
    return this
  }

  /** Ends it at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** Ends it at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }
}
