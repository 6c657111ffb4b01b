/**
 * The shells: what each evaluates once, and the form in which it takes suggestions.
 *
 * A shell's script only hands the words to `millrace complete SHELL -- WORDS` and takes the answer: its first line is
 * `words`, `files` or `directories`, and words follow a line each.
 */
import type { Suggestion, Suggestions } from './suggest.js'

/** The shells that can complete. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const
/** One of {@link SHELLS}. */
export type Shell = (typeof SHELLS)[number]

const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `_millrace() {
  local -a answer
  mapfile -t answer < <("\${COMP_WORDS[0]}" complete bash -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  COMPREPLY=()
  case "\${answer[0]}" in
    files) compopt -o default ;;
    directories) compopt -o dirnames ;;
    words) COMPREPLY=("\${answer[@]:1}") ;;
  esac
}
complete -F _millrace millrace`,
  zsh: `#compdef millrace
_millrace() {
  local -a answer described
  answer=("\${(@f)$("\${words[1]}" complete zsh -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  case "$answer[1]" in
    files) _files ;;
    directories) _files -/ ;;
    words)
      described=("\${(@)answer[2,-1]}")
      _describe millrace described
      ;;
  esac
}
if [[ "$funcstack[1]" == _millrace ]]; then _millrace "$@"; else compdef _millrace millrace; fi`,
  fish: `function __millrace
  set -l words (commandline -opc)
  set -l word (commandline -ct)
  set -l answer (command $words[1] complete fish -- $words[2..-1] "$word" 2>/dev/null)
  switch "$answer[1]"
    case files
      __fish_complete_path "$word"
    case directories
      __fish_complete_directories "$word"
    case words
      printf '%s\\n' $answer[2..-1]
  end
end
complete -c millrace -f -a '(__millrace)'`,
}

/** How to have it in every shell. */
export const SET_UP: Readonly<Record<Shell, string>> = {
  bash: 'source <(millrace completion bash)',
  zsh: 'source <(millrace completion zsh)',
  fish: 'millrace completion fish | source',
}

/** What a shell evaluates. */
export function scriptOf(shell: Shell): string {
  return SCRIPTS[shell]
}

/** The words as a program gets them. Bash takes `=` and `:` for words of their own. */
export function wordsOf(shell: Shell, words: readonly string[]): string[] {
  if (shell !== 'bash') return [...words]
  const whole: string[] = []
  let joins = false
  for (const word of words) {
    const isBreak = word === '=' || word === ':'
    if (whole.length > 0 && (joins || isBreak)) whole[whole.length - 1] += word
    else whole.push(word)
    joins = isBreak
  }
  return whole
}

/** Suggestions for `word`, the last of {@link wordsOf}, as the shell takes them. */
export function answerOf(shell: Shell, suggestions: Suggestions, word: string): string[] {
  if (typeof suggestions === 'string') return [suggestions]
  return ['words', ...suggestions.map((one) => lineOf(shell, one, word))]
}

function lineOf(shell: Shell, { value, description }: Suggestion, word: string): string {
  if (shell === 'fish') return `${value}\t${description}`
  if (shell === 'zsh') return `${value.replaceAll(':', '\\:')}:${description}`
  // Bash replaces only what follows its last break.
  return value.slice(Math.max(word.lastIndexOf('='), word.lastIndexOf(':')) + 1)
}
