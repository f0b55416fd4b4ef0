use std::collections::HashMap;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::proof::{ProofFault, consistency, inclusion, verify_consistency, verify_inclusion};
use crate::witness::{Offer, Refusal};

/// Tiles in memory, and the leaves to compute everything from once more, by the definition.
#[derive(Default)]
struct Log {
    leaves: Vec<Hash>,
    levels: Vec<Vec<Hash>>,
}

impl Log {
    fn of(size: u64) -> Self {
        let mut log = Self::default();
        (0..size).for_each(|n| log.push(Hash::leaf(&n.to_be_bytes())));
        log
    }

    fn push(&mut self, leaf: Hash) {
        self.leaves.push(leaf);
        let mut node = Some(leaf);
        for level in 0.. {
            let Some(hash) = node else { return };
            if self.levels.len() == level {
                self.levels.push(vec![]);
            }
            self.levels[level].push(hash);
            let full = self.levels[level].len().is_multiple_of(TILE_WIDTH as usize);
            node = full.then(|| defined(&self.levels[level][self.levels[level].len() - TILE_WIDTH as usize..]));
        }
    }

    fn root(&self, size: u64) -> Hash {
        defined(&self.leaves[..size as usize])
    }
}

impl Tiles for Log {
    type Fault = Infallible;

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, Infallible> {
        let first = (tile.number * TILE_WIDTH) as usize;
        Ok(self.levels[tile.level as usize][first..first + tile.width as usize].to_vec())
    }
}

/// MTH of RFC 6962, section 2.1, as it is written there.
fn defined(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::empty(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Hash::node(defined(left), defined(right))
        }
    }
}

fn key(name: &str, kind: Kind, seed: u8) -> SigningKey {
    SigningKey::from_seed(name.parse().unwrap(), kind, &[seed; 32])
}

#[test]
fn roots_are_those_of_the_published_vectors() {
    let entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut tree = Frontier::default();
    assert_eq!(hex::encode(tree.root().0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (entry, root) in entries.iter().zip(roots) {
        tree.push(Hash::leaf(&hex::decode(entry).unwrap()));
        assert_eq!(hex::encode(tree.root().0), root);
    }
}

#[test]
fn a_tree_read_from_its_tiles_grows_as_the_one_that_was_never_left() {
    let mut tree = Frontier::default();
    let mut log = Log::default();
    for n in 0..1_500_u64 {
        if [0, 1, 255, 256, 257, 511, 1_000].contains(&n) {
            assert_eq!(Frontier::of(&log, n), Ok(tree.clone()));
        }
        let leaf = Hash::leaf(&n.to_be_bytes());
        tree.push(leaf);
        log.push(leaf);
        assert_eq!(tree.root(), log.root(n + 1), "at {n}");
    }
}

#[test]
fn tiles_grow_at_their_edge_whatever_the_batches() {
    let whole = Log::of(70_000);
    let mut kept: HashMap<(u8, u64), Vec<Hash>> = HashMap::new();
    let mut size = 0;
    for batch in [1, 254, 1, 1, 3_000, 255, 256, 66_232] {
        let mut edge = Edge::of(&kept, size).unwrap();
        let mut full = vec![];
        for n in size..size + batch {
            edge.push(whole.leaves[n as usize], &mut full);
        }
        size += batch;
        let grown = edge.grown().map(|(tile, hashes)| (tile, hashes.to_vec()));
        for (tile, hashes) in full.into_iter().chain(grown) {
            assert_eq!(tile.width as usize, hashes.len());
            kept.insert((tile.level, tile.number), hashes);
        }
        assert_eq!(Frontier::of(&kept, size).unwrap().root(), whole.root(size));
    }
    // As the specification counts the tiles of a tree of this size.
    assert_eq!(size, 70_000);
    let widths = |level| kept.iter().filter(move |((at, _), _)| *at == level).map(|(_, hashes)| hashes.len());
    assert_eq!((widths(0).count(), widths(0).filter(|width| *width == 112).count()), (274, 1));
    assert_eq!((widths(1).count(), widths(1).filter(|width| *width == 17).count()), (2, 1));
    assert_eq!(widths(2).collect::<Vec<_>>(), [1]);
}

impl Tiles for HashMap<(u8, u64), Vec<Hash>> {
    type Fault = Infallible;

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, Infallible> {
        Ok(self[&(tile.level, tile.number)].clone())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_entry_is_proven_and_no_other_is(size in 1_u64..1_400, index: prop::sample::Index, bit in 0_usize..256) {
        let index = index.index(size as usize) as u64;
        let log = Log::of(size);
        let (leaf, root) = (log.leaves[index as usize], log.root(size));
        let proof = inclusion(&log, index, size).unwrap();
        prop_assert_eq!(verify_inclusion(leaf, index, size, root, &proof), Ok(()));

        let mut other = leaf;
        other.0[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(verify_inclusion(other, index, size, root, &proof), Err(ProofFault::OtherRoot));
        for wrong in [index + 1, index ^ 1, size] {
            prop_assert!(wrong == index || verify_inclusion(leaf, wrong, size, root, &proof).is_err());
        }
        let longer = [&proof[..], &[leaf]].concat();
        prop_assert!(verify_inclusion(leaf, index, size, root, &longer).is_err());
        if let Some((last, shorter)) = proof.split_last() {
            prop_assert!(verify_inclusion(leaf, index, size, root, shorter).is_err());
            let mut flipped = *last;
            flipped.0[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify_inclusion(leaf, index, size, root, &[shorter, &[flipped]].concat()).is_err());
        }
    }

    #[test]
    fn a_tree_contains_every_smaller_one_and_none_that_was_changed(
        large in 1_u64..1_400, small: prop::sample::Index, changed: prop::sample::Index,
    ) {
        let small = small.index(large as usize + 1) as u64;
        let log = Log::of(large);
        let proof = consistency(&log, small, large).unwrap();
        let (old, new) = ((small, log.root(small)), (large, log.root(large)));
        prop_assert_eq!(verify_consistency(old, new, &proof), Ok(()));
        prop_assert!(verify_consistency((small, old.1), new, &[&proof[..], &[new.1]].concat()).is_err());
        if small > 0 {
            let mut fork = Log::of(large);
            fork.leaves[changed.index(small as usize)] = Hash::leaf(b"another");
            prop_assert!(verify_consistency((small, fork.root(small)), new, &proof).is_err());
            prop_assert!(verify_consistency(old, (large, fork.root(large)), &proof).is_err());
        }
        if small < large {
            prop_assert_eq!(verify_consistency(new, old, &proof), Err(ProofFault::Shrunk { small: large, large: small }));
        }
    }

    #[test]
    fn a_path_names_one_tile_and_a_tile_one_path(level in 0_u8..64, number: u64, width in 1_u16..=256) {
        let tile = Tile { level, number, width };
        prop_assert_eq!(tile.to_string().parse(), Ok(tile));
    }

    #[test]
    fn whatever_is_read_is_read_without_panic(text in ".{0,300}") {
        let _ = (text.parse::<Note>(), text.parse::<Bundle>(), text.parse::<Checkpoint>(), text.parse::<Tile>());
        let _ = (text.parse::<VerifyingKey>(), text.parse::<Hash>());
    }
}

#[test]
fn paths_are_those_of_the_specification() {
    let path = |level, number, width| Tile { level, number, width }.to_string();
    assert_eq!(path(0, 1_234_067, 256), "tile/0/x001/x234/067");
    assert_eq!(path(2, 0, 7), "tile/2/000.p/7");
    for wrong in ["tile/0/1", "tile/0/001/002", "tile/64/000", "tile/0/000.p/256", "tile/0/000.p/0", "tile/0/x000/001"]
    {
        assert!(wrong.parse::<Tile>().is_err(), "{wrong}");
    }
}

#[test]
fn a_note_of_another_program_is_verified() {
    let key: VerifyingKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    let signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
    let note: Note = format!("{text}\n\u{2014} PeterNeumann {signature}\n").parse().unwrap();
    let keys = [key];
    assert_eq!(note.verify(&keys), Ok(vec![&keys[0]]));
    let changed = Note { text: text.replace("your", "their"), ..note };
    assert!(matches!(changed.verify(&keys), Err(NoteFault::WrongSignature(_))));
}

#[test]
fn a_note_needs_a_known_signer_and_no_false_one() {
    let (log, other, witness) =
        (key("log.example", Kind::Log, 1), key("log.example", Kind::Log, 2), key("w.example", Kind::Cosignature, 3));
    let text = Checkpoint { origin: "log.example".into(), size: 5, root: Hash::empty() }.to_string();
    let mut note =
        Note { text: text.clone(), signatures: vec![log.sign(&text, 0), witness.sign(&text, 1_700_000_000)] };
    assert_eq!(note.to_string().parse(), Ok(note.clone()));
    let keys = [log.verifying().clone(), witness.verifying().clone()];
    assert_eq!(note.verify(&keys).unwrap().len(), 2);
    assert_eq!(note.verify(&keys[..1]).unwrap().len(), 1);
    assert!(matches!(note.verify(&[other.verifying().clone()]), Err(NoteFault::Unsigned { .. })));
    // A witness vouches for the time too.
    note.signatures[1].bytes[7] ^= 1;
    assert!(matches!(note.verify(&keys), Err(NoteFault::WrongSignature(_))));
    assert!(note.verify(&keys[..1]).is_ok());
}

#[test]
fn a_key_is_read_as_it_is_printed_and_not_under_another_name() {
    let key = key("log.example/a", Kind::Log, 1).verifying().clone();
    assert_eq!(key.to_string().parse(), Ok(key.clone()));
    let renamed = key.to_string().replace("log.example/a", "log.example/b");
    assert!(matches!(renamed.parse::<VerifyingKey>(), Err(KeyFault::Id { .. })));
}

#[test]
fn any_change_to_a_bundle_or_its_entry_is_found() {
    let log = Log::of(300);
    let signer = key("log.example", Kind::Log, 1);
    let text = Checkpoint { origin: "log.example".into(), size: 300, root: log.root(300) }.to_string();
    let checkpoint = Note { signatures: vec![signer.sign(&text, 0)], text };
    let hashes = inclusion(&log, 77, 300).unwrap();
    let bundle = Bundle { extra: Some(b"why".to_vec()), index: 77, hashes, checkpoint };
    let (entry, keys) = (77_u64.to_be_bytes(), [signer.verifying().clone()]);
    let file = bundle.to_string();
    assert_eq!(file.parse(), Ok(bundle.clone()));
    assert_eq!(bundle.verify(&entry, &keys).unwrap().size, 300);
    assert!(bundle.verify(&78_u64.to_be_bytes(), &keys).is_err());

    // Nobody vouches for the extra data; every other byte counts.
    let vouched = file.find("index").unwrap();
    for at in 0..file.len() {
        let mut changed = file.clone().into_bytes();
        changed[at] ^= 1;
        let is_found = match String::from_utf8(changed).ok().and_then(|file| file.parse::<Bundle>().ok()) {
            None => true,
            Some(changed) if at < vouched => changed.hashes == bundle.hashes && changed.index == 77,
            Some(changed) => changed.verify(&entry, &keys).is_err(),
        };
        assert!(is_found, "a change at {at} was not found");
    }
}

#[test]
fn a_witness_alone_does_not_speak_for_the_log() {
    let log = Log::of(1);
    let witness = key("w.example", Kind::Cosignature, 3);
    let text = Checkpoint { origin: "log.example".into(), size: 1, root: log.root(1) }.to_string();
    let checkpoint = Note { signatures: vec![witness.sign(&text, 7)], text };
    let bundle = Bundle { extra: None, index: 0, hashes: vec![], checkpoint };
    let verdict = bundle.verify(&0_u64.to_be_bytes(), &[witness.verifying().clone()]);
    assert_eq!(verdict, Err(BundleFault::NotSignedByLog));
}

/// A log of a size, as offered to a witness that knows another size of it.
fn offer(log: &Log, signer: &SigningKey, old_size: u64, size: u64) -> Offer {
    let text = Checkpoint { origin: signer.verifying().name.to_string(), size, root: log.root(size) }.to_string();
    let checkpoint = Note { signatures: vec![signer.sign(&text, 0)], text };
    Offer { old_size, proof: consistency(log, old_size, size).unwrap(), checkpoint }
}

#[test]
fn a_witness_vouches_only_for_what_contains_all_that_it_knows() {
    let (log, signer) = (Log::of(400), key("log.example", Kind::Log, 1));
    let logs = [signer.verifying().clone(), key("other.example", Kind::Log, 2).verifying().clone()];
    let known = Some((77, log.root(77)));
    let good = offer(&log, &signer, 77, 300);
    assert_eq!(good.to_string().parse(), Ok(good.clone()));
    assert_eq!(good.judge(&logs, known).unwrap().size, 300);
    assert_eq!(offer(&log, &signer, 0, 300).judge(&logs, None).unwrap().size, 300);
    assert_eq!(offer(&log, &signer, 77, 77).judge(&logs, known).unwrap().size, 77, "it may ask again");

    assert_eq!(offer(&log, &signer, 0, 300).judge(&logs, known), Err(Refusal::Conflict(77)));
    assert_eq!(offer(&log, &signer, 80, 300).judge(&logs, known), Err(Refusal::Conflict(77)));
    assert_eq!(offer(&log, &signer, 60, 70).judge(&logs, known), Err(Refusal::Conflict(77)), "it was rolled back");
    let backwards = Offer { old_size: 301, ..good.clone() };
    assert_eq!(backwards.judge(&logs, known), Err(Refusal::Backwards { old: 301, new: 300 }));
    assert!(matches!(good.judge(&logs[1..], known), Err(Refusal::UnknownLog(_))));
    let mut forged = good.clone();
    forged.checkpoint.signatures = vec![key("log.example", Kind::Log, 9).sign(&good.checkpoint.text, 0)];
    assert!(matches!(forged.judge(&logs, known), Err(Refusal::NotSigned(_))));
}

#[test]
fn a_hundred_forks_are_refused_a_hundred_times() {
    let (log, signer) = (Log::of(200), key("log.example", Kind::Log, 1));
    let logs = [signer.verifying().clone()];
    for changed in 0..100 {
        let mut fork = Log::default();
        (0..260_u64).for_each(|n| fork.push(Hash::leaf(&if n == changed { u64::MAX } else { n }.to_be_bytes())));
        let known = Some((200, log.root(200)));
        for size in [200, 201, 260] {
            assert!(offer(&fork, &signer, 200, size).judge(&logs, known).is_err(), "{changed} {size}");
        }
    }
}
