//! Checks that the settings of a preset are allowed and consistent.

use super::{MAX_VIEWS, ParamSpec, Preset};
use crate::error::{Error, Result};
use crate::range::Range;

/// The largest deviation of a blur in pixels, as for transforms; the time of a blur grows with it.
const MAX_BLUR: f64 = 64.0;
/// Range of the percentages of pixels that are set to the mean colour.
const PERCENT: Range = Range::Within(0.0, 100.0);

impl Preset {
    /// An error if settings do not go together, for all inputs or for one.
    pub fn check(&self) -> Result<()> {
        self.check_own()?;
        for (input, own) in self.of_inputs() {
            if let Some(rate) =
                self.inputs[input].rate.filter(|rate| !Range::Positive.contains((*rate).into()))
            {
                let what = format!("preset {}: inputs.{input}.rate", self.name);
                return Err(Error::out_of_range(what, rate, Range::Positive.words()));
            }
            Self { name: format!("{}, input {input}", self.name), ..own }.check_own()?;
        }
        Ok(())
    }

    fn check_own(&self) -> Result<()> {
        let fail =
            |conflict: &str| Err(Error::Preset { preset: self.name.clone(), conflict: conflict.into() });
        self.optimizer.validate()?;
        self.regularizer.map_or(Ok(()), |regularizer| regularizer.validate())?;
        for (name, value, range) in self.numbers() {
            if !range.contains(value) {
                let what = format!("preset {}: {name}", self.name);
                return Err(Error::out_of_range(what, value, range.words()));
            }
        }
        if let Some([h, w]) = self.picture.filter(|[h, w]| h != w) {
            return fail(&format!(
                "a picture of another size than the network's has to be square, not {h}x{w}"
            ));
        }
        let centred = matches!(&self.param, ParamSpec::Pixel(options) if options.centred);
        if self.upkeep.is_some() && !centred {
            return fail(
                "upkeep is of pixels less the mean colour: it needs the parametrization pixel, centred",
            );
        }
        if self.regularizer.is_some_and(|r| r.bound > 0.0) && !centred {
            return fail(
                "a bound on pixels needs the parametrization pixel, centred; set the regularizer's bound to 0",
            );
        }
        if self.regularizer.is_some() && self.alpha {
            return fail("a regularizer is of opaque pictures; leave alpha or the regularizer out");
        }
        if self.tolerance.is_some() && self.param.is_shared() {
            return fail("pictures that share parameters end together: leave the tolerance out");
        }
        if self.upkeep.is_some() && self.alpha {
            return fail("upkeep is of opaque pictures; leave alpha or the upkeep out");
        }
        Ok(())
    }

    /// Returns all numbers with their names in a preset file and their allowed ranges.
    fn numbers(&self) -> Vec<(String, f64, Range)> {
        let views = Range::Within(1.0, MAX_VIEWS as f64);
        let mut numbers = vec![
            ("views", self.views as f64, views),
            ("weight", self.weight, Range::Positive),
            ("max_activation", self.max_activation, Range::Positive),
        ];
        numbers.extend(self.unit_weight.map(|weight| ("unit_weight", weight, Range::Positive)));
        numbers.extend(self.tolerance.map(|tolerance| ("tolerance", tolerance, Range::BelowOne)));
        numbers.extend(self.settle.map(|settle| ("settle.rate", settle.rate.into(), Range::Positive)));
        if let Some(upkeep) = self.upkeep {
            numbers.push(("upkeep.blur", upkeep.blur.into(), Range::Within(0.0, MAX_BLUR)));
            numbers.push(("upkeep.small_values", upkeep.small_values.into(), PERCENT));
            numbers.push(("upkeep.small_contributions", upkeep.small_contributions.into(), PERCENT));
        }
        let own = numbers.into_iter().map(|(name, value, range)| (name.to_owned(), value, range));
        let of_param = self.param.numbers().into_iter();
        let kind = self.param.name();
        own.chain(of_param.map(|(name, value, range)| (format!("param.{kind}.{name}"), value, range)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_no_recipe_can_have_are_named() {
        let cases = [
            ("yosinski", "upkeep", "blur = 1e9", "upkeep.blur"),
            ("yosinski", "upkeep", "blur = -1.0", "upkeep.blur"),
            ("yosinski", "upkeep", "small_values = 101.0", "upkeep.small_values"),
            ("yosinski", "upkeep", "small_contributions = nan", "upkeep.small_contributions"),
            ("lucid", "", "tolerance = nan", "tolerance"),
            ("lucid", "", "tolerance = -5.0", "tolerance"),
            ("lucid", "", "weight = 0.0", "weight"),
            ("lucid", "", "views = 0", "views"),
            ("lucid", "param.fourier", "divisor = 0.0", "param.fourier.divisor"),
            ("lucid", "param.fourier", "decay = nan", "param.fourier.decay"),
            ("lucid", "param.fourier", "init_std = inf", "param.fourier.init_std"),
            ("mahendran16", "param.pixel", "levels = 0.0", "param.pixel.levels"),
            ("mahendran16", "regularizer", "alpha = 0.5", "alpha"),
            ("maco", "param.maco", "contrast = -1.0", "param.maco.contrast"),
            ("activation-grid", "param.shared", "weight = inf", "param.shared.weight"),
        ];
        for (preset, table, setting, named) in cases {
            let whole = toml::Table::try_from(Preset::named(preset).unwrap()).unwrap();
            let mut value = toml::Value::Table(whole);
            let mut at = &mut value;
            for key in table.split('.').filter(|key| !key.is_empty()) {
                at = at.get_mut(key).unwrap_or_else(|| panic!("{preset} has no {key}"));
            }
            at.as_table_mut().unwrap().extend(setting.parse::<toml::Table>().unwrap());
            let changed: Preset = value.try_into().unwrap();
            let error = changed.check().expect_err(setting).to_string();
            assert!(error.contains(named), "{preset}, {setting}: {error}");
        }
        Preset::all().iter().for_each(|preset| preset.check().unwrap());
    }

    #[test]
    fn upkeep_and_transparency_do_not_go_together() {
        let preset = Preset { alpha: true, ..Preset::yosinski() };
        assert!(preset.check().unwrap_err().to_string().contains("opaque"));
    }
}
