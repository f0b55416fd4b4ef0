//! The names of tests in a source file: of those that run, not of other functions, nor of what is commented out.

/// Functions that an attribute ending in `test` marks, unless another one says that they are ignored.
pub fn in_rust(text: &str) -> Vec<String> {
    let mut names = vec![];
    let mut attributes = String::new();
    let (mut is_comment, mut is_attribute) = (false, false);
    for line in text.lines().map(str::trim) {
        if is_comment || (line.starts_with("/*") && !line.contains("*/")) {
            is_comment = !line.contains("*/");
        } else if is_attribute || line.starts_with("#[") {
            attributes.push_str(line);
            is_attribute = !line.ends_with(']');
        } else if let Some(name) = function(line, &["fn ", "async fn ", "pub fn ", "pub async fn "]) {
            if is_test(&attributes) {
                names.push(name.to_owned());
            }
            attributes.clear();
        } else if !line.is_empty() && !line.starts_with("//") {
            attributes.clear();
        }
    }
    names
}

/// `#[test]`, `#[tokio::test(…)]`.
fn is_test(attributes: &str) -> bool {
    let paths =
        attributes.split("#[").map(|attribute| attribute.split(['(', ']', '=']).next().unwrap_or_default().trim());
    paths.clone().any(|path| path == "test" || path.ends_with("::test"))
        && !paths.into_iter().any(|path| path == "ignore")
}

/// Functions whose name begins with `test_`, without that, unless a decorator skips them whatever the machine.
pub fn in_python(text: &str) -> Vec<String> {
    let mut names = vec![];
    let (mut is_text, mut is_skipped) = (false, false);
    for line in text.lines().map(str::trim) {
        let begins_as_text = is_text;
        is_text ^= (line.matches("\"\"\"").count() + line.matches("'''").count()) % 2 == 1;
        if begins_as_text {
            continue;
        }
        if line.starts_with('@') {
            let is_always = |mark: &str| {
                let after = line.strip_prefix("@pytest.mark.").and_then(|rest| rest.strip_prefix(mark));
                after.is_some_and(|rest| rest.is_empty() || rest.starts_with('('))
            };
            is_skipped |= is_always("skip") || is_always("xfail");
        } else if let Some(name) = function(line, &["def ", "async def "]) {
            if let Some(name) = name.strip_prefix("test_").filter(|_| !is_skipped) {
                names.push(name.to_owned());
            }
            is_skipped = false;
        }
    }
    names
}

fn function<'a>(line: &'a str, words: &[&str]) -> Option<&'a str> {
    let rest = words.iter().find_map(|word| line.strip_prefix(word))?;
    rest.split(|letter: char| letter != '_' && !letter.is_ascii_alphanumeric()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_functions_that_run_as_tests_are_found_in_rust() {
        let text = "
            #[test]
            /// Said in words.
            fn one() {}
            #[tokio::test(flavor = \"multi_thread\")]
            async fn two() {}
            fn helper() {}
            #[test]
            #[ignore = \"slow\"]
            fn ignored() {}
            // #[test] fn commented() {}
            /*
            #[test]
            fn also_commented() {}
            */
            #[allow(
                dead_code
            )]
            #[test]
            fn three() {}
            #[test]
            const N: u8 = 1;
            fn no_longer_marked() {}
        ";
        assert_eq!(in_rust(text), ["one", "two", "three"]);
    }

    #[test]
    fn only_functions_that_run_as_tests_are_found_in_python() {
        let text = "
'''
def test_in_a_text(): ...
'''
@pytest.mark.parametrize('a', [1])
def test_one(a):
    \"\"\"Said in words.\"\"\"
@needs_root
@pytest.mark.skipif(condition, reason='')
def test_two(): ...
@pytest.mark.skip(reason='never')
def test_skipped(): ...
# def test_commented(): ...
def helper_test_three(): ...
async def test_four(): ...
";
        assert_eq!(in_python(text), ["one", "two", "four"]);
    }
}
