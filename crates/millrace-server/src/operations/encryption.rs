//! StartStreamEncryption and StopStreamEncryption: which key a stream is said to be encrypted with. It is kept and told,
//! and nothing is encrypted: docs/compatibility.md says so too.

use std::sync::Arc;

use millrace_kinesis::{Encryption, ServiceError, Structure};

use super::{done, invalid};
use crate::service::{Outcome, Service};
use crate::streams::blocking;

/// StartStreamEncryption, also with another key than before.
pub(crate) async fn start(service: &Arc<Service>, request: &Structure) -> Outcome {
    let key = key_of(request)?.to_owned();
    set(service, request, Some(key)).await
}

/// StopStreamEncryption, whichever key it was. Where there was none nothing changes.
pub(crate) async fn stop(service: &Arc<Service>, request: &Structure) -> Outcome {
    key_of(request)?;
    set(service, request, None).await
}

async fn set(service: &Arc<Service>, request: &Structure, key: Option<String>) -> Outcome {
    let name = service.stream_to_change(request).await?.stream.name().to_owned();
    let (engine, of) = (Arc::clone(&service.engine), name.clone());
    let set = blocking(move || engine.set_encryption_key(&of, key)).await;
    set.map_err(|error| service.of_stream(&name, &error))?;
    service.updated(&name);
    done()
}

/// The key of a request, in one of the forms that the service knows.
fn key_of(request: &Structure) -> Result<&str, ServiceError> {
    if request.str("EncryptionType") != Some(Encryption::Kms.as_str()) {
        return Err(invalid("The only valid value of EncryptionType is KMS."));
    }
    let key = request.str("KeyId").unwrap_or_default();
    let is_one = is_key_arn(key) || is_alias(key) || is_guid(key);
    is_one.then_some(key).ok_or_else(|| {
        invalid(format!(
            "Invalid KeyId {key}: it must be a globally unique identifier, the ARN of a key or of an alias, or the name of \
             an alias that begins with alias/."
        ))
    })
}

fn is_key_arn(text: &str) -> bool {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (arn, partition, service, region, account, resource) = (next(), next(), next(), next(), next(), next());
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_key = resource.strip_prefix("key/").is_some_and(|key| is_guid(key) || key.starts_with("mrk-"));
    arn == "arn"
        && partition.starts_with("aws")
        && service == "kms"
        && !region.is_empty()
        && is_account
        && (is_key || is_alias(resource))
}

fn is_alias(text: &str) -> bool {
    let name = text.strip_prefix("alias/").unwrap_or_default();
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "/_-".contains(c))
}

fn is_guid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let is_hex = parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    (lengths == [8, 4, 4, 4, 12] && is_hex) || text.strip_prefix("mrk-").is_some_and(|rest| rest.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_called_as_the_service_documents_it() {
        let request = |key: &str| Structure::new().with("EncryptionType", "KMS").with("KeyId", key);
        for key in [
            "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012",
            "arn:aws-cn:kms:cn-north-1:123456789012:alias/MyAliasName",
            "12345678-1234-1234-1234-123456789012",
            "alias/MyAliasName",
            "alias/aws/kinesis",
        ] {
            assert_eq!(key_of(&request(key)), Ok(key));
        }
        for key in [
            "MyAliasName",
            "alias/",
            "alias/a b",
            "12345678-1234-1234-1234-12345678901",
            "1234567g-1234-1234-1234-123456789012",
            "arn:aws:kms:us-east-1:1234:alias/a",
            "arn:aws:kinesis:us-east-1:123456789012:stream/a",
            "arn:aws:kms:us-east-1:123456789012:key/a",
        ] {
            assert!(key_of(&request(key)).is_err(), "{key}");
        }
        let none = request("alias/a").with("EncryptionType", "NONE");
        assert_eq!(key_of(&none), Err(invalid("The only valid value of EncryptionType is KMS.")));
    }
}
