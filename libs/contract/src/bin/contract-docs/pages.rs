use std::error::Error;

use cairn_contract::Contract;

use crate::{File, errors, events, openapi, operations, status, table};

/// Every generated reference.
pub fn all(contract: &Contract) -> Result<Vec<File>, Box<dyn Error>> {
    let pages = [
        ("docs/api/contract.txt", table::page(contract)),
        ("docs/api/openapi.json", openapi::page(contract)),
        ("docs/errors.md", errors::page(contract)),
        ("docs/events.md", events::page(contract)),
        ("docs/operations.md", operations::page(contract)),
        ("docs/status.md", status::page()?),
    ];
    Ok(pages.into_iter().map(|(path, text)| (path.to_owned(), text.into_bytes())).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::repository;

    #[test]
    fn every_reference_is_as_the_contract_generates_it() {
        let mut stale = vec![];
        for (path, bytes) in all(Contract::embedded().unwrap()).unwrap() {
            if fs::read(repository().join(&path)).ok() != Some(bytes) {
                stale.push(path);
            }
        }
        assert!(stale.is_empty(), "{stale:?} are not as generated: run `make docs` and commit what it writes");
    }
}
