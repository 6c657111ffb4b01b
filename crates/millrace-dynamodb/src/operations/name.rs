//! How requests name tables.

use crate::error::{ServiceError, invalid};

/// The name of a table, from a name or an ARN.
pub(super) fn table_name(given: Option<String>) -> Result<String, ServiceError> {
    let given =
        given.ok_or_else(|| invalid("The parameter 'TableName' is required but was not present in the request"))?;
    let name = match given.strip_prefix("arn:") {
        Some(arn) => arn.split_once(":table/").map(|(_, name)| name.to_owned()).unwrap_or_default(),
        None => given,
    };
    check_name(&name, "TableName")?;
    Ok(name)
}

/// The name of the table whose ARN a request gives.
pub(super) fn table_of_arn(arn: Option<String>) -> Result<String, ServiceError> {
    match arn {
        Some(arn) if arn.starts_with("arn:") => table_name(Some(arn)),
        given => {
            let given = given.unwrap_or_default();
            Err(invalid(format!("Invalid TableArn: Invalid ResourceArn provided as input {given}")))
        }
    }
}

/// Tables and indexes are named alike.
pub(super) fn check_name(name: &str, parameter: &str) -> Result<(), ServiceError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if (3..=255).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(invalid(format!(
        "Invalid {parameter}: table and index names must be between 3 and 255 characters long, and may contain only the \
         characters a-z, A-Z, 0-9, '_', '-', and '.'"
    )))
}
