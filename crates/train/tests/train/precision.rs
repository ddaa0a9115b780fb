//! Products of `bf16`: what they change, and where they are not to be had.

use kernels::Precision;

use crate::tiny_run::{TestResult, TinyRun, metrics, tensors};

const BF16: [&str; 2] = ["--set", "run.precision=bf16"];

#[test]
fn rounded_products_learn_as_well_for_any_number_of_threads() -> TestResult {
    let run = TinyRun::new(&[])?;
    run.finish(&run.out("f32"), &[])?;
    for threads in ["1", "2", "4"] {
        let mut rounded = run.command(&run.out(threads), &BF16);
        assert!(
            rounded
                .env("RAYON_NUM_THREADS", threads)
                .status()?
                .success()
        );
        assert_eq!(metrics(&run.out(threads))?, metrics(&run.out("1"))?);
        assert!(tensors(&run.out(threads))? == tensors(&run.out("1"))?);
    }
    let same = tensors(&run.out("f32"))? == tensors(&run.out("1"))?;
    assert_eq!(same, !Precision::Bf16.is_supported());
    let last_loss = |name| -> TestResult<f64> {
        let lines = metrics(&run.out(name))?;
        let last = lines.last().ok_or("no metrics")?;
        last["loss"].as_f64().ok_or_else(|| "no loss".into())
    };
    let (exact, rounded) = (last_loss("f32")?, last_loss("1")?);
    assert!(
        (exact - rounded).abs() < 0.02 * exact,
        "{exact} and {rounded}"
    );
    Ok(())
}

#[test]
fn a_processor_that_cannot_round_says_so_once_and_goes_on() -> TestResult {
    let run = TinyRun::new(&[])?;
    let with = |name: &str, options: &[&str]| {
        let mut command = run.command(&run.out(name), options);
        command.env("KERNELS_ISA", "avx2").output()
    };
    assert!(with("f32", &[])?.status.success());
    let output = with("bf16", &BF16)?;
    assert!(output.status.success());
    let errors = String::from_utf8(output.stderr)?;
    assert_eq!(
        errors.matches("run.precision = \"bf16\"").count(),
        1,
        "{errors}"
    );
    assert!(tensors(&run.out("f32"))? == tensors(&run.out("bf16"))?);
    Ok(())
}
