//! Characters, bytes and learnt vocabularies, alone and against the tokenizers crate.

use data::Place;
use data::text::tokenizer::{Unknown, train};
use data::text::{Source, Tokenizer, TokenizerKind, TokenizerTraining};
use proptest::prelude::*;
use tokenizers::Tokenizer as Theirs;

use crate::{Folder, TestResult, prose};

const KINDS: [TokenizerKind; 4] = [
    TokenizerKind::Bpe,
    TokenizerKind::Wordpiece,
    TokenizerKind::Unigram,
    TokenizerKind::Words,
];

fn learnt(kind: TokenizerKind, vocab_size: usize) -> data::Result<Tokenizer> {
    let training = TokenizerTraining {
        kind,
        vocab_size,
        lowercase: false,
    };
    train(&training, &Source::embedded(&prose(4000, 1)))
}

fn text() -> impl Strategy<Value = String> {
    let letter = prop_oneof![
        Just('\n'),
        Just(' '),
        Just('a'),
        Just('é'),
        Just('東'),
        Just('🦊'),
        Just('\u{301}'),
        any::<char>(),
    ];
    prop::collection::vec(letter, 0..60).prop_map(|letters| letters.into_iter().collect())
}

proptest! {
    #[test]
    fn bytes_agree_with_the_tokenizers_crate(text in text()) {
        let ours = Tokenizer::bytes();
        let theirs = Theirs::from_bytes(ours.to_json()).unwrap();
        let ids = ours.encode(&text).unwrap();
        let encoding = theirs.encode(text.as_str(), true).unwrap();
        prop_assert_eq!(&ids[..], encoding.get_ids());
        prop_assert_eq!(theirs.decode(&ids, true).unwrap(), text.as_str());
        prop_assert_eq!(ours.decode(&ids).unwrap(), text);
    }

    #[test]
    fn characters_agree_with_the_tokenizers_crate(text in text(), more in text()) {
        for unknown in [Unknown::Refused, Unknown::Token] {
            let ours = Tokenizer::chars(text.chars(), unknown);
            let theirs = Theirs::from_bytes(ours.to_json()).unwrap();
            let ids = ours.encode(&text).unwrap();
            let encoding = theirs.encode(text.as_str(), true).unwrap();
            prop_assert_eq!(&ids[..], encoding.get_ids());
            prop_assert_eq!(theirs.decode(&ids, true).unwrap(), text.as_str());
            prop_assert_eq!(ours.decode(&ids).unwrap(), text.as_str());
            let foreign = more.chars().any(|c| !text.contains(c));
            match (ours.encode(&more), theirs.encode(more.as_str(), true)) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(&ours[..], theirs.get_ids()),
                (Err(_), Err(_)) => prop_assert!(foreign && unknown == Unknown::Refused),
                (ours, theirs) => prop_assert!(false, "{:?} against {:?}", ours, theirs.is_ok()),
            }
        }
    }

    #[test]
    fn a_stream_says_what_the_whole_says(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let tokenizer = Tokenizer::bytes();
        let ids: Vec<u32> = bytes.iter().map(|&byte| byte.into()).collect();
        let mut stream = tokenizer.decode_stream();
        let mut said = String::new();
        for &id in &ids {
            said.push_str(&stream.push(id).unwrap());
        }
        said.push_str(&stream.finish().unwrap());
        prop_assert_eq!(said, tokenizer.decode(&ids).unwrap());
    }
}

#[test]
fn vocabularies_are_sorted_and_named() -> TestResult {
    let chars = Tokenizer::chars("hello\n".chars(), Unknown::Refused);
    assert_eq!(chars.vocab_size(), 5);
    assert_eq!(chars.encode("\nehlo")?, [0, 1, 2, 3, 4]);
    assert_eq!(
        (chars.id_of("o"), chars.id_of("oo"), chars.id_of("x")),
        (Some(4), None, None)
    );

    let chars = Tokenizer::chars("ab".chars(), Unknown::Token);
    assert_eq!((chars.vocab_size(), chars.id_of("[UNK]")), (3, Some(0)));
    assert_eq!(chars.decode(&chars.encode("abc")?)?, "ab[UNK]");

    let bytes = Tokenizer::bytes();
    assert_eq!(
        (bytes.vocab_size(), bytes.id_of("A"), bytes.id_of("Ġ")),
        (256, Some(65), Some(32))
    );
    Ok(())
}

#[test]
fn a_foreign_character_is_named_with_its_place() {
    let chars = Tokenizer::chars("ab\n".chars(), Unknown::Refused);
    let error = chars.encode("ab\nbé").unwrap_err().to_string();
    assert_eq!(
        error,
        "text:2:2: character 'é' (U+00E9) is not among the 3 of the vocabulary; remove it, or train with text that has it"
    );
}

#[test]
fn an_id_past_the_vocabulary_is_an_error() {
    for tokenizer in [
        Tokenizer::bytes(),
        Tokenizer::chars("ab".chars(), Unknown::Refused),
    ] {
        let error = tokenizer.decode(&[0, 256]).unwrap_err().to_string();
        assert!(error.contains("id 256 is not below vocab_size"), "{error}");
    }
}

#[test]
fn every_kind_comes_back_from_its_file() -> TestResult {
    let folder = Folder::new()?;
    let mut all = vec![
        Tokenizer::bytes(),
        Tokenizer::chars("héllo [UNK]".chars(), Unknown::Token),
        Tokenizer::chars("héllo [UNK]".chars(), Unknown::Refused),
    ];
    for kind in KINDS {
        all.push(learnt(kind, 400)?);
    }
    for tokenizer in all {
        let path = folder.path("model/tokenizer.json");
        tokenizer.save(&path)?;
        let back = Tokenizer::from_file(&path)?;
        assert_eq!(format!("{back:?}"), format!("{tokenizer:?}"));
        assert_eq!(back.fingerprint(), tokenizer.fingerprint());
        Theirs::from_file(&path).map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[test]
fn learning_twice_gives_the_same_bytes() -> TestResult {
    // Letters that occur once, and only inside words, tie in every trainer.
    let rare: String = ('\u{5000}'..'\u{5040}')
        .flat_map(|c| ['t', 'i', c, 'o', 'n', ' '])
        .collect();
    let source = Source::embedded(&(prose(2000, 1) + &rare));
    for kind in KINDS {
        let training = TokenizerTraining {
            kind,
            vocab_size: 500,
            lowercase: false,
        };
        let first = train(&training, &source)?;
        for _ in 0..3 {
            let again = train(&training, &source)?;
            assert!(again.to_json() == first.to_json(), "{kind:?}");
        }
        let vocab_size = first.vocab_size();
        assert!(
            (100..=500).contains(&vocab_size),
            "{kind:?} has {vocab_size}"
        );
    }
    Ok(())
}

#[test]
fn learnt_vocabularies_shorten_text_and_give_it_back() -> TestResult {
    let text = prose(500, 2);
    let characters = text.chars().count();
    for kind in KINDS {
        let tokenizer = learnt(kind, 400)?;
        let ids = tokenizer.encode(&text)?;
        assert!(
            ids.len() * 3 < characters * 2,
            "{kind:?}: {} tokens",
            ids.len()
        );
        let back = tokenizer.decode(&ids)?;
        let words = |text: &str| {
            text.chars()
                .filter(|c| !c.is_whitespace())
                .collect::<String>()
        };
        match kind {
            TokenizerKind::Bpe => assert_eq!(back, text),
            _ => assert_eq!(words(&back), words(&text), "{kind:?}"),
        }
        let mut stream = tokenizer.decode_stream();
        let mut said = String::new();
        for &id in &ids {
            said.push_str(&stream.push(id)?);
        }
        said.push_str(&stream.finish()?);
        assert_eq!(said, back, "{kind:?}");
    }
    Ok(())
}

#[test]
fn lower_case_is_part_of_the_file() -> TestResult {
    for kind in KINDS {
        let training = TokenizerTraining {
            kind,
            vocab_size: 400,
            lowercase: true,
        };
        let tokenizer = train(&training, &Source::embedded(&prose(4000, 1)))?;
        let back = Tokenizer::from_json(tokenizer.to_json(), &Place::file("x"))?;
        assert_eq!(
            back.encode("First CITIZEN:")?,
            back.encode("first citizen:")?,
            "{kind:?}"
        );
    }
    Ok(())
}

#[test]
fn a_vocabulary_too_small_for_its_characters_is_an_error_or_small() -> TestResult {
    let many: String = (0x4E00u32..0x4F00).filter_map(char::from_u32).collect();
    let training = TokenizerTraining {
        kind: TokenizerKind::Unigram,
        vocab_size: 10,
        lowercase: false,
    };
    let error = train(&training, &Source::embedded(&many))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("embedded: cannot train a tokenizer: "),
        "{error}"
    );
    Ok(())
}

#[test]
fn settings_that_make_tokens_vary_are_switched_off() -> TestResult {
    let tokenizer = learnt(TokenizerKind::Bpe, 300)?;
    let mut value: serde_json::Value = serde_json::from_str(tokenizer.to_json())?;
    value["model"]["dropout"] = 0.9.into();
    value["truncation"] = serde_json::json!({
        "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0,
    });
    let quiet = Tokenizer::from_json(&value.to_string(), &Place::file("x"))?;
    let text = prose(50, 3);
    assert_eq!(quiet.encode(&text)?, tokenizer.encode(&text)?);
    Ok(())
}

#[test]
fn a_long_text_is_cut_before_the_special_tokens_behind_it() -> TestResult {
    let special = |id: u32, content: &str| {
        serde_json::json!({
            "id": id, "content": content, "special": true, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false,
        })
    };
    let token = |name: &str| serde_json::json!({"SpecialToken": {"id": name, "type_id": 0}});
    let entry =
        |name: &str, id: u32| serde_json::json!({"id": name, "ids": [id], "tokens": [name]});
    let text = serde_json::json!({"Sequence": {"id": "A", "type_id": 0}});
    let json = serde_json::json!({
        "version": "1.0",
        "added_tokens": [special(0, "[CLS]"), special(1, "[SEP]")],
        "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("[CLS]"), text.clone(), token("[SEP]")],
            "pair": [token("[CLS]"), text, token("[SEP]")],
            "special_tokens": {"[CLS]": entry("[CLS]", 0), "[SEP]": entry("[SEP]", 1)},
        },
        "decoder": null,
        "model": {
            "type": "WordLevel", "unk_token": "a",
            "vocab": {"[CLS]": 0, "[SEP]": 1, "a": 2, "b": 3, "c": 4},
        },
    });
    let tokenizer = Tokenizer::from_json(&json.to_string(), &Place::file("t.json"))?;
    for (max_len, want) in [
        (9, &[0, 2, 3, 4, 1][..]),
        (5, &[0, 2, 3, 4, 1]),
        (4, &[0, 2, 3, 1]),
        (3, &[0, 2, 1]),
        (2, &[0, 1]),
        (1, &[0]),
        (0, &[]),
    ] {
        let got = tokenizer.encode_sequence("a b c", max_len)?;
        assert_eq!(got, want, "{max_len}");
    }
    assert_eq!(Tokenizer::bytes().encode_sequence("abc", 2)?, [97, 98]);
    Ok(())
}
