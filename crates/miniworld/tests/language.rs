//! Sentences mean what they are drawn for, and the encoder's tokenizer knows all their words.

use std::collections::BTreeSet;
use std::path::Path;

use miniworld::language::claims::{Bearing, Statement};
use miniworld::language::documents::document;
use miniworld::language::{Stream, mood, vocabulary};
use models::Frozen;
use models::roberta::{Tokens, load_encoder};
use rand::SeedableRng;
use tch::{Device, Kind, Tensor};
use tokenizers::Tokenizer;

fn shipped() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/encoder")
}

#[test]
fn what_follows_is_answered_by_yes_what_contradicts_by_no_and_what_is_open_by_neither() {
    let mut stream = Stream::seed_from_u64(1);
    for _ in 0..500 {
        let statement = Statement::draw(&mut stream);
        let mut dialogue = |bearing| {
            let text = statement.claim(bearing, false, &mut stream).dialogue(&mut stream);
            let (question, answer) = text.split_once("? ").expect("a question and an answer");
            (question.to_owned(), answer.to_owned())
        };
        assert!(dialogue(Bearing::Follows).1.starts_with("yes"));
        assert!(dialogue(Bearing::Contradicted).1.starts_with("no"));
        assert_eq!(dialogue(Bearing::Open).1, "we do not know");
    }
}

#[test]
fn a_claim_that_follows_is_denied_only_of_what_is_not_so() {
    let mut stream = Stream::seed_from_u64(2);
    let mut denials = 0;
    for _ in 0..500 {
        let statement = Statement::draw(&mut stream);
        let text = statement.words(&mut stream);
        for (bearing, is_told) in [(Bearing::Follows, false), (Bearing::Contradicted, true)] {
            let claim = statement.claim(bearing, true, &mut stream).words(&mut stream);
            // Colours and patterns have one word each, so the statement shows whether they are told.
            let (_, told) = claim.split_once(" not ").expect("a denial");
            let looks = ["red", "purple", "green", "blue", "yellow", "orange", "black", "white", "pink"];
            let is_look = looks.contains(&told);
            let says = text.split(' ').any(|word| word == told);
            // A colour that is denied of one thing may be the other's, which a statement tells as well.
            if is_look && (is_told || !says) {
                assert_eq!(says, is_told, "`{text}`: `{claim}`");
                denials += 1;
            }
        }
    }
    assert!(denials > 100, "{denials}");
}

#[test]
fn moods_differ_in_more_than_their_words() {
    let mut stream = Stream::seed_from_u64(3);
    let words = |good: bool, stream: &mut Stream| -> BTreeSet<String> {
        (0..300)
            .flat_map(|_| mood::mood(good, stream).split(' ').map(str::to_owned).collect::<Vec<_>>())
            .collect()
    };
    let (good, bad) = (words(true, &mut stream), words(false, &mut stream));
    for word in ["cheerful", "gloomy", "not", "hardly", "although"] {
        assert!(good.contains(word) && bad.contains(word), "`{word}`");
    }
}

#[test]
fn the_shipped_tokenizer_lays_pairs_out_as_roberta_and_knows_every_word_of_documents() {
    let tokenizer = Tokenizer::from_file(shipped().join("tokenizer.json")).expect("a tokenizer");
    let size = tokenizer.get_vocab_size(true) as u32;
    for (token, id) in [("<s>", 0), ("<pad>", 1), ("</s>", 2), ("<unk>", 3), ("<mask>", size - 1)] {
        assert_eq!(tokenizer.token_to_id(token), Some(id), "{token}");
    }
    let words = |text: &str| -> Vec<u32> {
        let ids = text.split(' ').map(|word| tokenizer.token_to_id(word).expect("a known word"));
        ids.collect()
    };
    let single = tokenizer.encode("A red cat", true).expect("tokens");
    assert_eq!(single.get_ids(), [vec![0], words("a red cat"), vec![2]].concat());
    let pair = tokenizer.encode(("a red cat", "is it?"), true).expect("tokens");
    let wanted = [vec![0], words("a red cat"), vec![2, 2], words("is it ?"), vec![2]].concat();
    assert_eq!(pair.get_ids(), wanted);
    assert_eq!(vocabulary().len() as u32 + 5, size, "run `delora pretrain --model encoder`");
    let mut stream = Stream::seed_from_u64(4);
    for _ in 0..1000 {
        let document = document(&mut stream);
        let text = format!("{} {}", document.first, document.second.unwrap_or_default());
        let ids = tokenizer.encode(text.as_str(), true).expect("tokens");
        assert!(!ids.get_ids().contains(&3), "`{text}`");
        assert!(ids.len() <= 40, "{} tokens: `{text}`", ids.len());
    }
}

#[test]
fn the_shipped_encoder_takes_64_tokens_and_tells_words_apart() {
    let encoder = load_encoder(&shipped(), Device::Cpu).expect("an encoder").network;
    assert_eq!(encoder.config().max_tokens(), 64);
    let ids = Tensor::from_slice(&[0i64, 10, 11, 2, 0, 12, 11, 2]).view([2, 4]);
    let mask = ids.ones_like();
    let hidden = encoder.forward(&Tokens { ids: &ids, mask: &mask, types: None }, Kind::Float, &Frozen);
    assert_eq!(hidden.size(), [2, 4, 96]);
    let difference = f64::try_from((hidden.get(0) - hidden.get(1)).abs().max()).expect("a number");
    assert!(difference.is_finite() && difference > 0.1, "{difference}");
}
