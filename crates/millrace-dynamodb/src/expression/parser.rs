//! The parser of all expressions: what their grammars share, and that of conditions.

use super::condition::{Comparator, Condition, Operand};
use super::path::{Element, Path};
use super::reserved::is_reserved;
use super::token::{Token, Word, syntax_error, tokens};
use super::{EXPRESSION_BYTES_MAX, Kind, NESTING_MAX, OPERATORS_MAX, Placeholders};
use crate::error::ServiceError;
use crate::value::{AttributeValue, DEPTH_MAX};

/// The result of a rule.
pub(super) type Parsed<T> = Result<T, ServiceError>;

/// An expression that is being read.
pub(super) struct Parser<'t, 'p> {
    pub(super) kind: Kind,
    text: &'t str,
    tokens: Vec<Token<'t>>,
    at: usize,
    nesting: usize,
    operators: usize,
    placeholders: &'p mut Placeholders,
}

impl<'t, 'p> Parser<'t, 'p> {
    pub fn new(kind: Kind, text: &'t str, placeholders: &'p mut Placeholders) -> Parsed<Parser<'t, 'p>> {
        if text.trim().is_empty() {
            return Err(kind.error("The expression can not be empty;"));
        }
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(kind.error(format_args!(
                "Expression size has exceeded the maximum allowed size; expression size: {}",
                text.len()
            )));
        }
        Ok(Parser { kind, text, tokens: tokens(kind, text)?, at: 0, nesting: 0, operators: 0, placeholders })
    }

    // What all grammars share.

    pub fn peek(&self) -> Token<'t> {
        self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next_but_one(&self) -> Option<&Token<'t>> {
        self.tokens.get(self.at + 1)
    }

    pub fn advance(&mut self) -> Token<'t> {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// The expression goes wrong at the present token.
    pub fn wrong(&self) -> ServiceError {
        syntax_error(self.kind, self.text, &self.tokens, self.at.min(self.tokens.len() - 1))
    }

    pub fn accept(&mut self, sign: &str) -> bool {
        let is_there = self.peek().is(sign);
        self.at += usize::from(is_there);
        is_there
    }

    pub fn accept_keyword(&mut self, keyword: &str) -> bool {
        let is_there = self.peek().is_keyword(keyword);
        self.at += usize::from(is_there);
        is_there
    }

    pub fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.accept(sign) { Ok(()) } else { Err(self.wrong()) }
    }

    pub fn end(&self) -> Parsed<()> {
        if self.peek().word == Word::End { Ok(()) } else { Err(self.wrong()) }
    }

    /// Counts an operator or a function.
    pub fn operator(&mut self) -> Parsed<()> {
        self.operators += 1;
        if self.operators > OPERATORS_MAX {
            return Err(self
                .kind
                .error(format_args!("Expression contains too many operators; the maximum is {OPERATORS_MAX}")));
        }
        Ok(())
    }

    /// Reads what stands within something else.
    pub fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting == NESTING_MAX {
            return Err(self.kind.error(format_args!("The expression is nested more than {NESTING_MAX} levels deep")));
        }
        self.nesting += 1;
        let parsed = rule(self);
        self.nesting -= 1;
        parsed
    }

    /// One or more, with commas between them.
    pub fn list<T>(&mut self, mut rule: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut all = vec![rule(self)?];
        while self.accept(",") {
            all.push(rule(self)?);
        }
        Ok(all)
    }

    /// Whether a function's name and its parenthesis come next.
    pub fn is_at_function(&self) -> bool {
        self.peek().word == Word::Identifier && self.next_but_one().is_some_and(|token| token.is("("))
    }

    pub fn path(&mut self) -> Parsed<Path> {
        let mut path = Path::of(self.name()?);
        loop {
            if self.accept(".") {
                path.elements.push(Element::Name(self.name()?));
            } else if self.accept("[") {
                let number = self.peek();
                let index = number.text.parse().ok().filter(|_| number.word == Word::Number);
                let Some(index) = index else { return Err(self.wrong()) };
                self.advance();
                path.elements.push(Element::Index(index));
                self.expect("]")?;
            } else {
                break;
            }
        }
        if path.elements.len() > DEPTH_MAX {
            return Err(self.kind.error("The document path has too many nesting elements;"));
        }
        Ok(path)
    }

    pub fn paths(&mut self) -> Parsed<Vec<Path>> {
        self.list(Self::path)
    }

    fn name(&mut self) -> Parsed<String> {
        let token = self.peek();
        match token.word {
            Word::Identifier if is_reserved(token.text) => Err(self
                .kind
                .error(format_args!("Attribute name is a reserved keyword; reserved keyword: {}", token.text))),
            Word::Identifier => Ok(self.advance().text.to_owned()),
            Word::Name => {
                let name = self.placeholders.name(self.kind, token.text)?;
                self.advance();
                Ok(name)
            }
            _ => Err(self.wrong()),
        }
    }

    pub fn value(&mut self) -> Parsed<AttributeValue> {
        let placeholder = self.advance().text;
        self.placeholders.value(self.kind, placeholder)
    }

    /// The operands of a function, of which there are so many.
    pub fn operands<T>(
        &mut self,
        count: usize,
        name: &str,
        rule: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        self.operator()?;
        self.expect("(")?;
        let operands = self.nested(|parser| parser.list(rule))?;
        self.expect(")")?;
        if operands.len() == count {
            return Ok(operands);
        }
        let given = operands.len();
        Err(self.kind.error(format_args!(
            "Incorrect number of operands for operator or function; operator or function: {name}, number of operands: \
             {given}"
        )))
    }

    /// An operand of a type that an operator does not take.
    pub fn wrong_operand(&self, operator: &str, operand: &AttributeValue) -> ServiceError {
        let operand = operand.type_name();
        self.kind.error(format_args!(
            "Incorrect operand type for operator or function; operator or function: {operator}, operand type: {operand}"
        ))
    }

    pub fn unknown_function(&self, name: &str) -> ServiceError {
        self.kind.error(format_args!("Invalid function name; function: {name}"))
    }

    // The grammar of conditions: OR binds least, then AND, then NOT.

    pub fn condition(&mut self) -> Parsed<Condition> {
        let mut any = vec![self.all()?];
        while self.accept_keyword("OR") {
            self.operator()?;
            any.push(self.all()?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Condition::Any(any) })
    }

    fn all(&mut self) -> Parsed<Condition> {
        let mut all = vec![self.negated()?];
        while self.accept_keyword("AND") {
            self.operator()?;
            all.push(self.negated()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::All(all) })
    }

    fn negated(&mut self) -> Parsed<Condition> {
        if self.accept_keyword("NOT") {
            self.operator()?;
            return Ok(Condition::Not(Box::new(self.nested(Self::negated)?)));
        }
        if self.accept("(") {
            let condition = self.nested(Self::condition)?;
            self.expect(")")?;
            return Ok(condition);
        }
        if self.is_at_function() && !self.peek().text.eq("size") {
            return self.function();
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed<Condition> {
        let left = self.operand()?;
        self.operator()?;
        if self.accept_keyword("BETWEEN") {
            let low = self.operand()?;
            if !self.accept_keyword("AND") {
                return Err(self.wrong());
            }
            let high = self.operand()?;
            return self.between(left, low, high);
        }
        if self.accept_keyword("IN") {
            self.expect("(")?;
            let among = self.nested(|parser| parser.list(Self::operand))?;
            self.expect(")")?;
            return Ok(Condition::In(left, among));
        }
        let comparator = Comparator::ALL.into_iter().find(|comparator| self.peek().is(comparator.sign()));
        let Some(comparator) = comparator else { return Err(self.wrong()) };
        self.advance();
        let right = self.operand()?;
        if comparator.orders() {
            for operand in [&left, &right] {
                self.check_ordered(operand, comparator.sign())?;
            }
        }
        Ok(Condition::Compare(left, comparator, right))
    }

    fn between(&self, operand: Operand, low: Operand, high: Operand) -> Parsed<Condition> {
        self.check_ordered(&low, "BETWEEN")?;
        self.check_ordered(&high, "BETWEEN")?;
        if let (Operand::Value(low), Operand::Value(high)) = (&low, &high) {
            let written = |value: &AttributeValue| serde_json::to_string(value).unwrap_or_default();
            if low.type_name() != high.type_name() {
                return Err(self.kind.error(format_args!(
                    "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: \
                     AttributeValue: {}, upper bound operand: AttributeValue: {}",
                    written(low),
                    written(high)
                )));
            }
            if Comparator::Greater.holds(low, high) {
                return Err(self.kind.error(format_args!(
                    "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound \
                     operand: AttributeValue: {}, upper bound operand: AttributeValue: {}",
                    written(low),
                    written(high)
                )));
            }
        }
        Ok(Condition::Between(operand, low, high))
    }

    /// Only texts, numbers and bytes have an order.
    fn check_ordered(&self, operand: &Operand, operator: &str) -> Parsed<()> {
        match operand {
            Operand::Value(value) if !matches!(value.type_name(), "S" | "N" | "B") => {
                Err(self.wrong_operand(operator, value))
            }
            _ => Ok(()),
        }
    }

    fn operand(&mut self) -> Parsed<Operand> {
        if self.peek().word == Word::Value {
            return Ok(Operand::Value(self.value()?));
        }
        if !self.is_at_function() {
            return Ok(Operand::Path(self.path()?));
        }
        let name = self.advance().text;
        if name != "size" {
            return Err(self.unknown_function(name));
        }
        let path = self.operands(1, name, Self::path)?.remove(0);
        Ok(Operand::Size(path))
    }

    fn function(&mut self) -> Parsed<Condition> {
        let name = self.advance().text;
        match name {
            "attribute_exists" => Ok(Condition::Exists(self.operands(1, name, Self::path)?.remove(0))),
            "attribute_not_exists" => Ok(Condition::NotExists(self.operands(1, name, Self::path)?.remove(0))),
            "attribute_type" => {
                let [operand, wanted] = self.pair(name)?;
                let Operand::Value(AttributeValue::S(wanted)) = wanted else { return Err(self.wrong()) };
                const TYPES: [&str; 10] = ["S", "N", "B", "SS", "NS", "BS", "BOOL", "NULL", "L", "M"];
                if !TYPES.contains(&wanted.as_str()) {
                    return Err(self.kind.error(format_args!(
                        "Invalid attribute type name found; type: {wanted}, valid types: {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}"
                    )));
                }
                Ok(Condition::HasType(operand, wanted))
            }
            "begins_with" => {
                let [operand, start] = self.pair(name)?;
                match &start {
                    Operand::Value(value) if !matches!(value.type_name(), "S" | "B") => {
                        Err(self.wrong_operand(name, value))
                    }
                    _ => Ok(Condition::BeginsWith(operand, start)),
                }
            }
            "contains" => {
                let [operand, part] = self.pair(name)?;
                Ok(Condition::Contains(operand, part))
            }
            _ => Err(self.unknown_function(name)),
        }
    }

    fn pair(&mut self, name: &str) -> Parsed<[Operand; 2]> {
        let operands = self.operands(2, name, Self::operand)?;
        Ok(operands.try_into().expect("two were asked for"))
    }
}
