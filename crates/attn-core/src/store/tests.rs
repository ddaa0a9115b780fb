use candle_nn::VarMap;

use super::*;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const NORMAL: Init = Init::Randn {
    mean: 0.0,
    stdev: 1.0,
};

fn store() -> ParamStore {
    ParamStore::new(1, DType::F32, &Device::Cpu)
}

fn bits(tensor: &Tensor) -> Result<Vec<u32>> {
    Ok(tensor
        .flatten_all()?
        .to_vec1::<f32>()?
        .into_iter()
        .map(f32::to_bits)
        .collect())
}

#[test]
fn names_come_in_order_and_the_order_of_asking_does_not_matter() -> Result<()> {
    let (a, b) = (store(), store());
    for name in ["w", "b", "a"] {
        a.var_builder()
            .pp("x")
            .get_with_hints((2, 3), name, NORMAL)?;
    }
    for name in ["a", "b", "w"] {
        b.var_builder()
            .pp("x")
            .get_with_hints((2, 3), name, NORMAL)?;
    }
    assert_eq!(a.names(), ["x.a", "x.b", "x.w"]);
    assert_eq!(a.n_params(), 18);
    for ((_, left), (_, right)) in a.named_vars().iter().zip(b.named_vars().iter()) {
        assert_eq!(bits(left)?, bits(right)?);
    }
    Ok(())
}

#[test]
fn asking_twice_ties_and_must_agree() -> Result<()> {
    let store = store();
    let builder = store.var_builder();
    let first = builder.get_with_hints((2, 3), "w", NORMAL)?;
    let second = builder.get_with_hints((2, 3), "w", Init::Const(0.0))?;
    assert_eq!(first.id(), second.id());
    let message = builder
        .get((3, 2), "w")
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("`w` has shape [2, 3], but [3, 2]"),
        "{message}"
    );
    assert!(builder.to_dtype(DType::F64).get((2, 3), "w").is_err());
    assert!(builder.get_unchecked("v").is_err());
    assert_eq!(builder.get_unchecked("w")?.id(), first.id());
    Ok(())
}

#[test]
fn a_detached_layer_records_nothing_and_sees_updates() -> Result<()> {
    let store = store();
    let tracked = store.var_builder().get_with_hints(3, "w", NORMAL)?;
    let detached = store.detached().get(3, "w")?;
    assert!(tracked.track_op() && !detached.track_op());
    let update = Tensor::new(&[1f32, 2.0, 3.0], &Device::Cpu)?;
    store.load(&BTreeMap::from([("w".to_owned(), update)]))?;
    assert_eq!(detached.to_vec1::<f32>()?, [1.0, 2.0, 3.0]);
    assert!(store.detached().get(3, "other").is_err());
    assert_eq!(store.names(), ["w"]);
    Ok(())
}

#[test]
fn loading_lists_everything_that_is_wrong_and_changes_nothing() -> Result<()> {
    let store = store();
    for (name, shape) in [("a", (2, 2)), ("b", (2, 2)), ("c", (2, 2)), ("d", (2, 2))] {
        store.var_builder().get_with_hints(shape, name, NORMAL)?;
    }
    let before: Vec<_> = store
        .vars()
        .iter()
        .map(|var| bits(var))
        .collect::<Result<_>>()?;
    let zeros = |shape: (usize, usize), dtype| Tensor::zeros(shape, dtype, &Device::Cpu);
    let tensors = BTreeMap::from([
        ("a".to_owned(), zeros((2, 2), DType::F32)?),
        ("b".to_owned(), zeros((2, 3), DType::F32)?),
        ("d".to_owned(), zeros((2, 2), DType::U32)?),
        ("e".to_owned(), zeros((2, 2), DType::F32)?),
    ]);
    let error = store.load(&tensors).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the tensors are not those of this model: 1 missing: c; 1 unexpected: e; \
         1 of another shape: b (model [2, 2], file [2, 3]); 1 not floating-point: d (U32)"
    );
    let LoadError::Mismatch(Mismatch { missing, .. }) = error else {
        panic!("not a mismatch")
    };
    assert_eq!(missing, ["c"]);
    let after: Vec<_> = store
        .vars()
        .iter()
        .map(|var| bits(var))
        .collect::<Result<_>>()?;
    assert_eq!(before, after);
    Ok(())
}

#[test]
fn loading_converts_the_type_and_survives_its_own_tensors() -> Result<()> {
    let store = store();
    let w = store.var_builder().get_with_hints((2, 2), "w", NORMAL)?;
    let before = bits(&w)?;
    store.load(&store.tensors())?;
    assert_eq!(bits(&w)?, before);
    let wide = Tensor::new(&[[1f64, 2.0], [3.0, 4.0]], &Device::Cpu)?;
    store.load(&BTreeMap::from([("w".to_owned(), wide.t()?)]))?;
    assert_eq!(w.to_vec2::<f32>()?, [[1.0, 3.0], [2.0, 4.0]]);
    Ok(())
}

#[test]
fn layers_of_candle_find_what_they_ask_of_a_var_map() -> Result<()> {
    let store = store();
    let map = VarMap::new();
    let candles = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    for builder in [store.var_builder(), candles] {
        candle_nn::linear(3, 4, builder.pp("linear"))?;
        candle_nn::embedding(5, 3, builder.pp("embedding"))?;
    }
    let mut expected: Vec<String> = map
        .data()
        .lock()
        .expect("not poisoned")
        .keys()
        .cloned()
        .collect();
    expected.sort();
    assert_eq!(store.names(), expected);
    Ok(())
}
