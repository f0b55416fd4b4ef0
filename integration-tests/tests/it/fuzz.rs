//! The fuzzers' seeds and a bounded number of mutations, by the toolchain that everything is built with. `make fuzz` looks
//! further, with what it learns of the code.

use std::fs;
use std::path::Path;

use cairn_integration_tests::fuzzed;

/// Mutations of all seeds of one target.
const MUTATIONS: usize = 3_000;

/// Numbers that look random and are the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below.max(1) as u64).unwrap()
    }
}

/// What parsers stumble over.
const WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"'",
    b"`",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"%",
    b"%2F",
    b"%00",
    b"..",
    b"/",
    b":",
    b"*",
    b"**",
    b"=",
    b",",
    b"(",
    b")",
    b" AND ",
    b" OR ",
    b"NOT ",
    b" IN ",
    b"null",
    b"NaN",
    b"-0",
    b"1e999",
    b"9223372036854775808",
    b"\n",
    b"\xff",
    b"\xc3\xa9",
    b"\0",
    b"?",
    b"&",
    b".",
];

fn mutated(seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut data = seeds[numbers.next(seeds.len())].clone();
    for _ in 0..=numbers.next(4) {
        let at = numbers.next(data.len() + 1);
        match numbers.next(6) {
            0 if at < data.len() => data[at] ^= 1 << numbers.next(8),
            1 if at < data.len() => drop(data.remove(at)),
            2 => data.splice(at..at, WORDS[numbers.next(WORDS.len())].iter().copied()).for_each(drop),
            3 => data.truncate(at),
            4 => {
                let other = &seeds[numbers.next(seeds.len())];
                let from = numbers.next(other.len() + 1);
                data.splice(at.., other[from..].iter().copied()).for_each(drop);
            }
            _ => {
                let from = numbers.next(at + 1);
                let piece = data[from..at].to_vec();
                data.splice(at..at, piece).for_each(drop);
            }
        }
        data.truncate(4096);
    }
    data
}

fn run(target: &str, function: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(seeds.len() > 3, "there are seeds");
    seeds.iter().for_each(|seed| function(seed));
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for _ in 0..MUTATIONS {
        let data = mutated(&seeds, &mut numbers);
        let outcome = std::panic::catch_unwind(|| function(&data));
        assert!(outcome.is_ok(), "this breaks {target}: {:?}", String::from_utf8_lossy(&data));
    }
}

#[test]
fn no_path_breaks_the_matcher() {
    run("path", fuzzed::path);
}

#[test]
fn no_request_breaks_the_transcoder() {
    run("request", fuzzed::request);
}

#[test]
fn no_filter_breaks_its_parser() {
    run("filter", fuzzed::filter);
}
