use cairn_objects::{Memory, Signer};

use crate::conformance::{beyond_the_stand_in, every_store, tests};

async fn open() -> (Memory, ()) {
    (Memory::new(Signer::new(&[1; 32], "http://localhost:3001")), ())
}

every_store!(tests, open());
beyond_the_stand_in!(tests, open());
