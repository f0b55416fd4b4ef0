use cairn_objects::{Expect, OpenFault, S3Settings, Settings, Signer, of_bytes, open};

fn settings() -> Settings {
    Settings { signer: Signer::new(&[1; 32], "http://localhost:3001"), s3: S3Settings::default() }
}

#[tokio::test]
async fn an_unknown_scheme_is_refused_with_the_known_ones() {
    for url in ["gs://bucket", "/srv/objects", "", "memory://elsewhere", "FILE:///srv"] {
        let fault = open(url, settings()).await.err().expect("it was opened");
        assert!(matches!(fault, OpenFault::UnknownScheme { .. }), "{url}: {fault}");
        let text = fault.to_string();
        assert!(text.contains("UNKNOWN_SCHEME") && text.contains("file://, s3://, memory://"), "{text}");
    }
    for url in ["file://relative", "s3://", "s3:///prefix", "s3://bucket/../other"] {
        let fault = open(url, settings()).await.err().expect("it was opened");
        assert!(matches!(fault, OpenFault::Invalid { .. }), "{url}: {fault}");
    }
}

#[tokio::test]
async fn a_folder_is_opened_by_its_url() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/objects", folder.path().display());
    let store = open(&url, settings()).await.unwrap();
    store.put(&"a".parse().unwrap(), of_bytes("x"), Expect::at_most(1)).await.unwrap();
    assert!(!store.is_direct());
    let again = open(&url, settings()).await.unwrap();
    assert_eq!(again.head(&"a".parse().unwrap()).await.unwrap().size, 1);
}
