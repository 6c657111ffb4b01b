//! The grammar of updates: up to four sections, each once.

use super::parser::{Parsed, Parser};
use super::token::Word;
use super::update::{Operand, SetValue, Update};
use crate::expression::Path;
use crate::value::AttributeValue;

/// A section of an update.
const SECTIONS: [&str; 4] = ["SET", "REMOVE", "ADD", "DELETE"];

impl Parser<'_, '_> {
    pub fn update(&mut self) -> Parsed<Update> {
        let mut update = Update::default();
        let mut seen = [false; SECTIONS.len()];
        while self.peek().word != Word::End {
            let section = SECTIONS.iter().position(|section| self.peek().is_keyword(section));
            let Some(section) = section else { return Err(self.wrong()) };
            self.advance();
            let name = SECTIONS[section];
            if std::mem::replace(&mut seen[section], true) {
                return Err(self
                    .kind
                    .error(format_args!("The \"{name}\" section can only be used once in an update expression;")));
            }
            match name {
                "SET" => update.set = self.list(Self::assignment)?,
                "REMOVE" => update.remove = self.paths()?,
                "ADD" => update.add = self.list(|parser| parser.change(name, &["N", "SS", "NS", "BS"]))?,
                _ => update.delete = self.list(|parser| parser.change(name, &["SS", "NS", "BS"]))?,
            }
        }
        Ok(update)
    }

    fn assignment(&mut self) -> Parsed<(Path, SetValue)> {
        let path = self.path()?;
        self.operator()?;
        self.expect("=")?;
        let first = self.update_operand()?;
        let is_sum = self.peek().is("+");
        if !is_sum && !self.peek().is("-") {
            return Ok((path, SetValue::Operand(first)));
        }
        let sign = self.advance().text;
        self.operator()?;
        let second = self.update_operand()?;
        for operand in [&first, &second] {
            match operand {
                Operand::Value(value) if value.type_name() != "N" => return Err(self.wrong_operand(sign, value)),
                _ => {}
            }
        }
        let value = if is_sum { SetValue::Sum(first, second) } else { SetValue::Difference(first, second) };
        Ok((path, value))
    }

    fn update_operand(&mut self) -> Parsed<Operand> {
        if self.peek().word == Word::Value {
            return Ok(Operand::Value(self.value()?));
        }
        if !self.is_at_function() {
            return Ok(Operand::Path(self.path()?));
        }
        let name = self.advance().text;
        match name {
            "if_not_exists" => {
                let mut operands = self.operands(2, name, Self::update_operand)?.into_iter();
                match (operands.next(), operands.next()) {
                    (Some(Operand::Path(path)), Some(otherwise)) => Ok(Operand::IfNotExists(path, Box::new(otherwise))),
                    _ => Err(self.kind.error(format_args!(
                        "Operator or function requires a document path; operator or function: {name}"
                    ))),
                }
            }
            "list_append" => {
                let mut operands = self.operands(2, name, Self::update_operand)?;
                for operand in &operands {
                    match operand {
                        Operand::Value(value) if value.type_name() != "L" => {
                            return Err(self.wrong_operand(name, value));
                        }
                        _ => {}
                    }
                }
                let second = operands.pop().expect("two were asked for");
                let first = operands.pop().expect("two were asked for");
                Ok(Operand::Append(Box::new(first), Box::new(second)))
            }
            _ => Err(self.unknown_function(name)),
        }
    }

    /// A place and what is added to it or deleted from it, of one of these types.
    fn change(&mut self, section: &str, types: &[&str]) -> Parsed<(Path, AttributeValue)> {
        let path = self.path()?;
        self.operator()?;
        if self.peek().word != Word::Value {
            return Err(self.wrong());
        }
        let value = self.value()?;
        if types.contains(&value.type_name()) {
            return Ok((path, value));
        }
        Err(self.kind.error(format_args!(
            "Incorrect operand type for operator or function; operator: {section}, operand type: {}, typeSet: ALLOWED_FOR_{section}_OPERAND",
            value.type_name()
        )))
    }
}
