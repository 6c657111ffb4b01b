//! What expressions mean, and what is said of those that mean nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::json::WireItem;
use crate::value::{AttributeValue, Item};

fn item(json: &str) -> Item {
    serde_json::from_str::<WireItem>(json).expect(json).into_item().expect(json)
}

fn placeholders() -> Placeholders {
    let names = BTreeMap::from([("#n".to_owned(), "name".to_owned()), ("#dotted".to_owned(), "a.b".to_owned())]);
    let values = item(
        r#"{":one":{"N":"1"},":two":{"N":"2"},":text":{"S":"text"},":te":{"S":"te"},":set":{"SS":["a","b"]},":a":{"S":"a"},":list":{"L":[{"N":"9"}]},":S":{"S":"S"},":null":{"NULL":true}}"#,
    );
    Placeholders::new(Some(names), Some(values)).expect("placeholders")
}

fn subject() -> Item {
    item(
        r#"{"id":{"S":"x"},"count":{"N":"1"},"name":{"S":"text"},"tags":{"SS":["a","b","c"]},"deep":{"M":{"steps":{"L":[{"N":"1"},{"M":{"x":{"S":"y"}}}]}}},"a.b":{"S":"text"}}"#,
    )
}

fn holds(text: &str) -> Result<bool, String> {
    let condition = Condition::parse(Kind::Condition, text, &mut placeholders()).map_err(|error| error.message)?;
    Ok(condition.holds(&subject()))
}

#[test]
fn conditions_hold_as_the_service_has_it() {
    let cases = [
        ("id = :text OR #n = :text", true),
        ("attribute_exists(id) and not attribute_exists(nothing)", true),
        ("NOT (attribute_exists(id) OR attribute_exists(nothing))", false),
        ("deep.steps[0] < :two AND deep.steps[0] >= :one", true),
        ("deep.steps[1].x = :text", false),
        ("nothing = :one", false),
        ("nothing <> :one", true),
        ("nothing < :one", false),
        ("#n <> :one", true),
        ("deep.steps[0] BETWEEN :one AND :two", true),
        ("#n IN (:one, :text)", true),
        ("begins_with(#n, :te)", true),
        ("contains(tags, :a) AND contains(#n, :te)", true),
        ("contains(deep.steps, :one)", true),
        ("size(tags) > :two", true),
        ("size(nothing) > :two", false),
        ("attribute_type(#n, :S)", true),
        ("tags = :set", false),
        ("#dotted = :text", true),
        // AND binds closer than OR.
        ("attribute_exists(id) OR attribute_exists(id) AND attribute_exists(nothing)", true),
    ];
    for (text, expected) in cases {
        assert_eq!(holds(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_condition_is_told_in_the_services_words() {
    let cases = [
        ("", "Invalid ConditionExpression: The expression can not be empty;"),
        ("id = ", r#"Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "=""#),
        ("id ! :one", r#"Invalid ConditionExpression: Syntax error; token: "!", near: "id !""#),
        ("id = = :one", r#"Invalid ConditionExpression: Syntax error; token: "=", near: "= = :one""#),
        (
            "id = :none",
            "Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute \
             value: :none",
        ),
        (
            "#none = :one",
            "Invalid ConditionExpression: An expression attribute name used in the document path is not defined; \
             attribute name: #none",
        ),
        (
            "status = :one",
            "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: status",
        ),
        ("nothing(id)", "Invalid ConditionExpression: Invalid function name; function: nothing"),
        (
            "begins_with(id)",
            "Invalid ConditionExpression: Incorrect number of operands for operator or function; operator or function: \
             begins_with, number of operands: 1",
        ),
        (
            "begins_with(id, :one)",
            "Invalid ConditionExpression: Incorrect operand type for operator or function; operator or function: \
             begins_with, operand type: N",
        ),
        (
            "id BETWEEN :two AND :one",
            "Invalid ConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to \
             lower bound; lower bound operand: AttributeValue: {\"N\":\"2\"}, upper bound operand: AttributeValue: \
             {\"N\":\"1\"}",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(holds(text), Err(message.to_owned()), "{text}");
    }
}

#[test]
fn expressions_are_bounded_in_length_depth_and_operators() {
    let deep = format!("{}id = :one{}", "(".repeat(1_000), ")".repeat(1_000));
    assert!(holds(&deep).is_err_and(|message| message.contains("nested")));
    let negated = format!("{}id = :one", "NOT ".repeat(1_000));
    assert!(holds(&negated).is_err_and(|message| message.contains("nested")));
    let long = format!("id = :one OR {}", "a".repeat(4_096));
    assert!(holds(&long).is_err_and(|message| message.contains("size")));
    let many = vec!["a=:one"; 200].join(" OR ");
    assert!(holds(&many).is_err_and(|message| message.contains("operators")));
}

fn updated(text: &str) -> Result<String, String> {
    let update = Update::parse(text, &mut placeholders()).map_err(|error| error.message)?;
    let updated = update.apply(&subject()).map_err(|error| error.message)?;
    // What changed, and what went.
    let before = subject();
    let changed: Item = updated
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let gone: Vec<&str> = before.keys().filter(|name| !updated.contains_key(*name)).map(String::as_str).collect();
    Ok(format!("{} -{}", serde_json::to_string(&changed).expect("JSON"), gone.join(",")))
}

#[test]
fn updates_change_what_they_say() {
    let cases = [
        ("SET fresh = :one", r#"{"fresh":{"N":"1"}} -"#),
        ("set fresh = deep.steps[0] + :two, rest = :two - :one", r#"{"fresh":{"N":"3"},"rest":{"N":"1"}} -"#),
        ("SET fresh = if_not_exists(nothing, :one)", r#"{"fresh":{"N":"1"}} -"#),
        ("SET #n = if_not_exists(#n, :one)", "{} -"),
        (
            "SET fresh = list_append(:list, deep.steps)",
            r#"{"fresh":{"L":[{"N":"9"},{"N":"1"},{"M":{"x":{"S":"y"}}}]}} -"#,
        ),
        ("REMOVE #n ADD fresh :two", r#"{"fresh":{"N":"2"}} -name"#),
        ("ADD tags :set", "{} -"),
        ("DELETE tags :set", r#"{"tags":{"SS":["c"]}} -"#),
        ("REMOVE deep.steps[0], deep.steps[1]", r#"{"deep":{"M":{"steps":{"L":[]}}}} -"#),
        (
            "SET deep.steps[7] = :one REMOVE deep.steps[0]",
            r#"{"deep":{"M":{"steps":{"L":[{"M":{"x":{"S":"y"}}},{"N":"1"}]}}}} -"#,
        ),
        // All values are those from before.
        ("SET fresh = #n, #n = :one", r#"{"fresh":{"S":"text"},"name":{"N":"1"}} -"#),
        ("DELETE nothing :set", "{} -"),
    ];
    for (text, expected) in cases {
        assert_eq!(updated(text), Ok(expected.to_owned()), "{text}");
    }
}

#[test]
fn what_is_no_update_is_told_in_the_services_words() {
    let cases = [
        ("SET a = :one SET b = :one", "can only be used once"),
        (
            "SET a = :one, a.b = :one",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a, b]",
        ),
        ("SET a.b = :one, a[0] = :one", "Two document paths conflict"),
        ("SET a = nothing", "refers to an attribute that does not exist in the item"),
        ("SET a = #n + :one", "incorrect data type"),
        ("SET nothing.b = :one", "document path provided in the update expression is invalid for update"),
        ("ADD a :text", "operator: ADD, operand type: S"),
        ("ADD #n :one", "incorrect data type"),
        ("DELETE a :one", "operator: DELETE, operand type: N"),
        ("CHANGE a = :one", r#"token: "CHANGE""#),
        ("SET a = list_append(:one, :list)", "Incorrect operand type"),
    ];
    for (text, part) in cases {
        let told = updated(text);
        assert!(told.as_ref().is_err_and(|message| message.contains(part)), "{text}: {told:?}");
    }
}

#[test]
fn projections_give_the_parts_that_they_name() {
    let project = |text: &str| {
        let projection = Projection::parse(text, &mut placeholders()).map_err(|error| error.message)?;
        Ok::<_, String>(serde_json::to_string(&projection.apply(&subject())).expect("JSON"))
    };
    assert_eq!(project("id, nothing"), Ok(r#"{"id":{"S":"x"}}"#.to_owned()));
    assert_eq!(
        project("deep.steps[1].x, #n"),
        Ok(r#"{"deep":{"M":{"steps":{"L":[{"M":{"x":{"S":"y"}}}]}}},"name":{"S":"text"}}"#.to_owned())
    );
    assert_eq!(project("deep.nothing"), Ok("{}".to_owned()));
    assert!(project("deep, deep.steps").is_err_and(|message| message.contains("overlap")));
    assert!(project("id,").is_err());
}

#[test]
fn placeholders_are_all_used_and_well_spelt() {
    let finish = |text: &str| {
        let mut placeholders = placeholders();
        Condition::parse(Kind::Condition, text, &mut placeholders).expect("a condition");
        placeholders.finish(true).map_err(|error| error.message)
    };
    assert!(finish("#n = :one").is_err_and(|message| {
        message == "Value provided in ExpressionAttributeNames unused in expressions: keys: {#dotted}"
    }));
    let names = |key: &str| Placeholders::new(Some(BTreeMap::from([(key.to_owned(), "a".to_owned())])), None).err();
    assert!(names("n").is_some_and(|error| error.message.contains("invalid key")));
    assert!(names("#").is_some());
    assert!(names("#n").is_none());
    let unused = Placeholders::new(None, Some(Item::from([(":v".to_owned(), AttributeValue::Null)]))).expect("one");
    assert!(unused.finish(false).is_err_and(|error| error.message.contains("only be specified when using")));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[ a-z#:()\\[\\].,=<>+0-9éANDORSETin]{0,64}") {
        let _judged = Condition::parse(Kind::Filter, &text, &mut placeholders());
        let _judged = Update::parse(&text, &mut placeholders());
        let _judged = Projection::parse(&text, &mut placeholders());
    }
}
