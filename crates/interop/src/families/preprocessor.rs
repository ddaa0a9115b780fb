//! `preprocessor_config.json`: what is done to an image before a model reads it.

use models::ModelConfig;
use serde_json::{Value, json};

use crate::Error;
use crate::keys::Keys;

const FILE: &str = "preprocessor_config.json";
/// What of a byte makes a number from 0 to 1, which is what our models are given.
const BYTE: f64 = 1.0 / 255.0;

/// A mean and a deviation a channel.
type Moments = (Vec<f64>, Vec<f64>);

/// The keys of the file.
pub(crate) struct Preprocessor(Keys);

impl Preprocessor {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        Keys::parse(FILE, text).map(Self)
    }

    /// Refuses a preprocessor that makes images of other sides than the model reads.
    pub(super) fn fits(&self, (height, width): (usize, usize)) -> Result<(), Error> {
        let Self(keys) = self;
        let key = match keys.flag("do_center_crop", false)? {
            true => "crop_size",
            false => "size",
        };
        if !keys.flag("do_resize", true)? && key == "size" {
            return Ok(());
        }
        let most = 1 << 16;
        let sides = match keys.get(key) {
            Some(Value::Object(_)) => {
                let table = keys.table(key)?;
                let side = |side| match &table {
                    Some(table) => table.size_if_any(side, 1..=most),
                    None => Ok(None),
                };
                // A shortest edge says nothing of the other.
                side("height")?.zip(side("width")?)
            }
            _ => keys.size_if_any(key, 1..=most)?.map(|side| (side, side)),
        };
        match sides {
            Some(sides) if sides != (height, width) => {
                let remedy = format!("use the file of the model, which reads {height}x{width}");
                Err(keys.unsupported(key, &remedy))
            }
            _ => Ok(()),
        }
    }

    /// What is taken from each channel and what it is divided by, both of numbers from 0 to
    /// 1; `None` if neither is done.
    pub(super) fn moments(&self, channels: usize) -> Result<Option<Moments>, Error> {
        let Self(keys) = self;
        keys.only(
            "do_rescale",
            true,
            "use a model that reads numbers from 0 to 1",
        )?;
        let factor = keys.positive("rescale_factor", BYTE, 1e6)?;
        if (factor / BYTE - 1.0).abs() > 1e-6 {
            return Err(keys.unsupported("rescale_factor", "use a model with 1/255"));
        }
        if !keys.flag("do_normalize", true)? {
            return Ok(None);
        }
        let list = |key: &'static str| {
            let numbers = keys
                .numbers(key)?
                .ok_or(Error::Missing { file: FILE, key })?;
            match numbers.len() == channels {
                true => Ok(numbers),
                false => Err(keys.not(key, &format!("a number for each of {channels} channels"))),
            }
        };
        let (mean, std) = (list("image_mean")?, list("image_std")?);
        if mean.iter().any(|mean| mean.abs() > 1e6) {
            return Err(keys.not("image_mean", "a list of numbers from -1000000 to 1000000"));
        }
        match std.iter().all(|&std| std > 0.0 && std <= 1e6) {
            true => Ok(Some((mean, std))),
            false => Err(keys.not("image_std", "a list of numbers above 0, at most 1000000")),
        }
    }
}

/// The text of the file for a model of images; `None` for other models.
pub(crate) fn write(model: &ModelConfig) -> Result<Option<Value>, Error> {
    let Some(image) = model.image() else {
        return Ok(None);
    };
    let shape = super::known(image.shape())?;
    let mut config = json!({
        "image_processor_type": "ViTImageProcessor",
        "do_resize": true,
        "size": { "height": shape.height, "width": shape.width },
        // Bilinear
        "resample": 2,
        "do_rescale": true,
        "rescale_factor": BYTE,
        "do_normalize": false,
    });
    if image.mean().is_some() || image.std().is_some() {
        let or = |values: Option<&[f64]>, default| match values {
            Some(values) => values.to_vec(),
            None => vec![default; shape.channels],
        };
        config["do_normalize"] = json!(true);
        config["image_mean"] = json!(or(image.mean(), 0.0));
        config["image_std"] = json!(or(image.std(), 1.0));
    }
    Ok(Some(config))
}
