//! Settings of an optimisation, from flags to a preset.

use anyhow::{Result, anyhow, bail};
use oneiro::gradients::{Gradients, MaxPoolGradient, ReluGradient};
use oneiro::optimizer::OptimizerKind;
use oneiro::preset::Preset;
use oneiro::transform::Chain;

use crate::context::Context;

/// The recipe where none is chosen.
const DEFAULT_PRESET: &str = "lucid";

/// Settings of an optimisation: a preset, and what overrides it.
#[derive(clap::Args)]
pub struct RenderArgs {
    /// The recipe to start from [default: lucid]
    #[arg(long, value_parser = ["lucid", "conveiro"])]
    preset: Option<String>,
    /// Size of the picture: N or HxW
    #[arg(long, allow_negative_numbers = true, value_parser = parse_size, value_name = "N|HxW")]
    pub size: Option<[usize; 2]>,
    /// Steps of the optimiser
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_STEPS))
    )]
    steps: Option<u32>,
    /// Stop once the objective's mean over 32 steps rises by less than this fraction
    #[arg(long, allow_negative_numbers = true, value_name = "FRACTION")]
    until_converged: Option<f64>,
    /// Seed of all random numbers
    #[arg(long, allow_negative_numbers = true, default_value_t = 0)]
    pub seed: u64,
    /// What is optimised: the spectrum with decorrelated colours, or the pixels
    #[arg(long, value_parser = ["fourier", "pixel"])]
    param: Option<String>,
    /// Random transforms, for instance "pad(12)|jitter(8)|scale(0.9..1.1)|rotate(-10..10)|jitter(4)", or none
    ///
    /// Members act in turn; then the result is cropped or padded to the picture's size. There are pad(PIXELS[,reflect]),
    /// jitter(PIXELS), roll(PIXELS), scale(RANGE), rotate(RANGE) in degrees, crop(RANGE) of a part of the side,
    /// noise(RANGE) and uniform(RANGE), blur(RANGE) in pixels, flip or flip(PROBABILITY), mask(circle,RADIUS),
    /// mask(box,PART), canvas(HEIGHT,WIDTH) and fill(VALUE) or fill(RED,GREEN,BLUE), the colour outside; for clips also
    /// tjitter(FRAMES), tcrop(RANGE) and speed(RANGE).
    ///
    /// A RANGE is a number, low..high, a list (0.9,1,1.1), or goes over the run as in crop(0.5->0.05) or
    /// blur(1..3->0..1).
    #[arg(long, value_name = "CHAIN")]
    transform: Option<String>,
    /// The optimiser
    #[arg(long, value_parser = ["adam", "sgd"])]
    optimizer: Option<String>,
    /// Learning rate
    #[arg(long, visible_alias = "lr", allow_negative_numbers = true, value_name = "RATE")]
    learning_rate: Option<f32>,
    #[command(flatten)]
    rules: RuleArgs,
    /// Steps at the start in which --relu-rule holds, then it is exact [default: 16 for redirected, else all]
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_STEPS))
    )]
    relu_steps: Option<u32>,
}

/// How gradients pass through the network.
#[derive(clap::Args)]
pub struct RuleArgs {
    /// How gradients pass ReLUs: exact; redirected (through silent ones too, where nothing else would pass); leaky or
    /// leaky(SLOPE) (a share passes silent ones, .1 by default); guided or deconv (both meant for the gradient of an image,
    /// as of oneiro run; an optimisation from noise finds little with them)
    #[arg(long, value_name = "RULE")]
    pub relu_rule: Option<ReluGradient>,
    /// How gradients pass max-pooling: to the maximum, or to all of its window as an L2 pool would (smoothed)
    #[arg(long, value_name = "RULE", value_parser = ["exact", "smoothed"])]
    max_pool_rule: Option<String>,
}

impl RuleArgs {
    /// The rule for max-pooling, if one is given.
    pub fn max_pool(&self) -> Option<MaxPoolGradient> {
        self.max_pool_rule.as_deref().map(|rule| match rule {
            "smoothed" => MaxPoolGradient::Smoothed,
            _ => MaxPoolGradient::Exact,
        })
    }
}

/// The largest side of a picture: beyond it, memory runs out before anything is seen.
const MAX_SIDE: usize = 8192;
/// More steps than anybody waits for.
pub const MAX_STEPS: u32 = 1_000_000;

/// An error unless flags could have made this preset: for settings that come from a file.
pub fn check_preset(preset: &Preset) -> Result<()> {
    if preset.steps > MAX_STEPS as usize {
        bail!("{} steps are more than {MAX_STEPS}", preset.steps);
    }
    if let Some([h, w]) = preset.size.filter(|size| size.iter().any(|n| !(1..=MAX_SIDE).contains(n))) {
        bail!("the size {h}x{w} is not from 1 to {MAX_SIDE}");
    }
    let rate = preset.optimizer.learning_rate;
    if !(rate.is_finite() && rate > 0.0) {
        bail!("the learning rate {rate} is not a positive number");
    }
    Ok(())
}

pub fn parse_size(text: &str) -> Result<[usize; 2], String> {
    let side = |t: &str| {
        t.trim()
            .parse::<usize>()
            .ok()
            .filter(|n| (1..=MAX_SIDE).contains(n))
            .ok_or_else(|| format!("\"{t}\" should be a whole number from 1 to {MAX_SIDE}"))
    };
    match text.split_once(['x', 'X']) {
        None => side(text).map(|n| [n, n]),
        Some((h, w)) => Ok([side(h)?, side(w)?]),
    }
}

impl RenderArgs {
    /// The preset with everything that was given in its place, by flags or else by the configuration file.
    pub fn preset(&self, context: &Context) -> Result<Preset> {
        let config = context.config();
        let mut of_file = Vec::new();
        let name = self.preset.as_deref().or_else(|| {
            of_file.extend(config.preset.as_ref().map(|p| format!("preset {p}")));
            config.preset.as_deref()
        });
        let name = name.unwrap_or(DEFAULT_PRESET);
        let mut preset = Preset::named(name).ok_or_else(|| anyhow!("there is no preset \"{name}\""))?;
        if let Some(size) = self.size {
            preset.size = Some(size);
        } else if let Some([h, w]) = config.size {
            of_file.push(format!("size {h}x{w}"));
            preset.size = config.size;
        }
        if let Some(steps) = self.steps {
            preset.steps = steps as usize;
        } else if let Some(steps) = config.steps {
            of_file.push(format!("steps {steps}"));
            preset.steps = steps as usize;
        }
        if !of_file.is_empty() {
            context.note(&format!("note: {} from {}", of_file.join(", "), config.path.display()));
        }
        if let Some(tolerance) = self.until_converged {
            if !(tolerance > 0.0 && tolerance < 1.0) {
                bail!("--until-converged {tolerance}: a fraction between 0 and 1 is needed");
            }
            preset.tolerance = Some(tolerance);
        }
        if let Some(name) = &self.param {
            preset.set_param(name).ok_or_else(|| anyhow!("there is no parametrization \"{name}\""))?;
        }
        if let Some(text) = &self.transform {
            preset.transform = Chain::parse(text)?;
        }
        if let Some(rate) = self.learning_rate
            && !(rate.is_finite() && rate > 0.0)
        {
            bail!("--learning-rate {rate}: a positive number is needed");
        }
        let kind = match self.optimizer.as_deref() {
            None => preset.optimizer.kind,
            Some("sgd") => OptimizerKind::Sgd,
            Some(_) => OptimizerKind::Adam,
        };
        preset.set_optimizer(kind, self.learning_rate);
        preset.gradients = self.gradients(preset.gradients)?;
        Ok(preset)
    }

    fn gradients(&self, of_preset: Gradients) -> Result<Gradients> {
        let mut gradients = match self.rules.relu_rule {
            Some(relu) if relu != of_preset.relu => {
                Gradients { max_pool: of_preset.max_pool, ..Gradients::relu(relu) }
            }
            _ => of_preset,
        };
        if let Some(steps) = self.relu_steps {
            if gradients.relu == ReluGradient::Exact {
                bail!("--relu-steps {steps}: gradients are exact in all steps; choose another --relu-rule");
            }
            gradients.relu_steps = Some(steps as usize);
        }
        if let Some(max_pool) = self.rules.max_pool() {
            gradients.max_pool = max_pool;
        }
        Ok(gradients)
    }
}
