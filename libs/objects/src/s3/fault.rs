use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::{Key, ObjectFault, UploadId};

type Fault<E> = SdkError<E, HttpResponse>;

/// The store did not do as asked.
pub(super) fn unavailable<E: std::error::Error + 'static>(fault: Fault<E>) -> ObjectFault {
    ObjectFault::Unavailable { problem: DisplayErrorContext(&fault).to_string() }
}

/// The same, about an object that may not be there.
pub(super) fn of_object<E: std::error::Error + ProvideErrorMetadata + 'static>(
    key: &Key,
    fault: Fault<E>,
) -> ObjectFault {
    if is_missing(&fault) { ObjectFault::NotFound { key: key.clone() } } else { unavailable(fault) }
}

/// The same, about an upload that may not be there and parts that may be others.
pub(super) fn of_upload<E: std::error::Error + ProvideErrorMetadata + 'static>(
    key: &Key,
    upload: &UploadId,
    fault: Fault<E>,
) -> ObjectFault {
    match fault.code() {
        Some("InvalidPart" | "InvalidPartOrder" | "EntityTooSmall") => {
            ObjectFault::Parts { problem: fault.message().unwrap_or("the store does not take them").to_owned() }
        }
        _ if is_missing(&fault) => ObjectFault::UploadNotFound { key: key.clone(), upload: upload.to_string() },
        _ => unavailable(fault),
    }
}

/// Whether what was named is not there. `HEAD` answers without a body, hence without a code.
pub(super) fn is_missing<E: ProvideErrorMetadata>(fault: &Fault<E>) -> bool {
    matches!(fault.code(), Some("NoSuchKey" | "NoSuchUpload" | "NotFound"))
        || fault.raw_response().is_some_and(|answer| answer.status().as_u16() == 404)
}
