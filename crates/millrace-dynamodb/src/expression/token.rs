//! The words and signs of an expression.

use super::Kind;
use crate::error::ServiceError;

/// What a piece of an expression is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// A name, a keyword or a function.
    Identifier,
    /// `#name`.
    Name,
    /// `:value`.
    Value,
    /// Digits.
    Number,
    /// A sign, or two.
    Sign,
    /// Behind the last.
    End,
}

/// A piece of an expression with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub word: Word,
    pub text: &'t str,
    pub start: usize,
}

impl Token<'_> {
    /// Whether it is this sign.
    pub fn is(&self, sign: &str) -> bool {
        self.word == Word::Sign && self.text == sign
    }

    /// Whether it is this keyword, however it is spelt.
    pub fn is_keyword(&self, keyword: &str) -> bool {
        self.word == Word::Identifier && self.text.eq_ignore_ascii_case(keyword)
    }

    fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The signs of two characters stand before those of one that they begin with.
const SIGNS: [&str; 14] = ["<>", "<=", ">=", "<", ">", "=", "(", ")", "[", "]", ",", ".", "+", "-"];

/// All tokens of an expression, the last of which is the end.
pub(super) fn tokens(kind: Kind, text: &str) -> Result<Vec<Token<'_>>, ServiceError> {
    let mut tokens = Vec::new();
    let mut start = 0;
    loop {
        let rest = &text[start..];
        let blank = rest.len() - rest.trim_start().len();
        start += blank;
        let rest = &rest[blank..];
        let Some(first) = rest.chars().next() else { break };
        let word_bytes = |from: usize| rest[from..].bytes().take_while(|byte| is_word(*byte)).count();
        let (word, bytes) = match first {
            '#' => (Word::Name, 1 + word_bytes(1)),
            ':' => (Word::Value, 1 + word_bytes(1)),
            '0'..='9' => (Word::Number, rest.bytes().take_while(u8::is_ascii_digit).count()),
            'a'..='z' | 'A'..='Z' | '_' => (Word::Identifier, word_bytes(0)),
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Word::Sign, sign.len()),
                None => {
                    let stray = Token { word: Word::Sign, text: &rest[..first.len_utf8()], start };
                    tokens.push(stray);
                    return Err(syntax_error(kind, text, &tokens, tokens.len() - 1));
                }
            },
        };
        tokens.push(Token { word, text: &rest[..bytes], start });
        if bytes == 1 && matches!(word, Word::Name | Word::Value) {
            return Err(syntax_error(kind, text, &tokens, tokens.len() - 1));
        }
        start += bytes;
    }
    tokens.push(Token { word: Word::End, text: "", start: text.len() });
    Ok(tokens)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The expression goes wrong at the token of this number; it is told with its neighbours.
pub(super) fn syntax_error(kind: Kind, text: &str, tokens: &[Token<'_>], at: usize) -> ServiceError {
    let token = &tokens[at];
    let from = at.checked_sub(1).map_or(token.start, |before| tokens[before].start);
    let to = tokens.get(at + 1).unwrap_or(token).end();
    let near = text[from..to].trim_end();
    let token = if token.word == Word::End { "<EOF>" } else { token.text };
    kind.error(format_args!("Syntax error; token: \"{token}\", near: \"{near}\""))
}
