/// The candidate that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    within(word, candidates, (word.len() / 3).max(2))
}

/// The nearest candidate of which `word` differs in at most so many letters.
pub(super) fn within<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>, most: usize) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    scored.filter(|(distance, _)| *distance <= most).min().map(|(_, candidate)| candidate)
}

/// How many characters must be inserted, removed or replaced to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_a_foreign_one_does_not() {
        let keys = ["http_port", "grpc_port", "host"];
        assert_eq!(nearest("htp_port", keys), Some("http_port"));
        assert_eq!(nearest("hots", keys), Some("host"));
        assert_eq!(nearest("hosts", keys), Some("host"));
        assert_eq!(nearest("colour", keys), None);
    }
}
