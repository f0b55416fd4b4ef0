use cairn_objects::{Memory, Signer};

use crate::conformance::conformance;

async fn open() -> (Memory, ()) {
    (Memory::new(Signer::new(&[1; 32], "http://localhost:3001")), ())
}

conformance!(open());
conformance!(
    open();
    an_upload_belongs_to_its_key,
    an_upload_that_is_not_there_says_so,
    an_upload_left_alone_is_told,
    a_folder_is_not_an_object_nor_is_there_one_below_an_object
);
