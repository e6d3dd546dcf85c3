//! Flags for the settings of an optimisation, and their conversion to a preset.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use oneiro::dream::DreamPreset;
use oneiro::gradients::{Gradients, MaxPoolGradient, ReluGradient};
use oneiro::optimizer::{OPTIMIZERS, OptimizerKind, Schedule};
use oneiro::preset::{Jitter, PARAMS, Preset};
use oneiro::transform::Chain;

use crate::args::assignment::with_setting;
use crate::args::recipe;
use crate::args::size::parse_size;
use crate::collisions::{Placed, placed};
use crate::context::Context;
use oneiro_jobs::again::setting_of;
use oneiro_jobs::job::render::limits::{MAX_STEPS, check_preset};

/// Name of the preset that is used if no flag or configuration chooses one.
pub const DEFAULT_PRESET: &str = "oneiro";

/// Names of the flags of [`RenderArgs`], for conflicts with other flags. clap's own group is empty, because
/// `RenderArgs` contains another group, [`RuleArgs`].
pub const SETTINGS: [&str; 17] = [
    "preset",
    "set",
    "save_preset",
    "size",
    "steps",
    "until_converged",
    "seed",
    "param",
    "views",
    "jitter",
    "alpha",
    "transform",
    "optimizer",
    "learning_rate",
    "schedule",
    "momentum",
    "relu_steps",
];

/// Flags for the settings of an optimisation: a preset, and what overrides it.
#[derive(clap::Args)]
pub struct RenderArgs {
    /// The recipe to start from: a name that `oneiro presets` lists, your own .toml file, or a picture that
    /// oneiro made, whose recipe is taken
    #[arg(long, value_name = "NAME|FILE.toml|PICTURE")]
    preset: Option<String>,
    /// Any setting of the recipe, by its path as `oneiro presets` prints it, for instance
    /// param.fourier.decay=0.85 or size=48x64; may be repeated, and comes after the other flags
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Also write the recipe, with everything that was changed, to a file for --preset
    #[arg(long, value_name = "FILE.toml")]
    save_preset: Option<PathBuf>,
    /// Size of the picture: N or HxW. `maco`, `enlarged` and other recipes with a `picture` of their own show
    /// the network parts of it, whose size --set size=N sets
    #[arg(long, allow_negative_numbers = true, value_parser = parse_size, value_name = "N|HxW")]
    size: Option<[usize; 2]>,
    /// Steps of the optimiser; a recipe that settles (mahendran16) adds its own, but to none
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
    /// Parameters that are optimised: the spectrum with decorrelated colours (fourier), the pixels (pixel),
    /// a pyramid (laplacian), one blurred picture for the whole batch and details for each picture
    /// (shared), a small network over (x, y) (cppn), a dense layer (dense), or the phases of a spectrum
    /// (maco); for clips a spectrum in space and time (fourier3d), the same with one appearance (steady),
    /// or a still that moves (moved)
    #[arg(long, value_parser = PARAMS)]
    param: Option<String>,
    /// Number of views of the picture in each step, each with its own random transforms
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    views: Option<usize>,
    /// Random shift of a picture that is so much larger: pixels, stride/4 or stride (of the layer), or none
    #[arg(long, value_name = "JITTER")]
    jitter: Option<Jitter>,
    /// Learn the picture's transparency, too
    #[arg(long)]
    alpha: bool,
    /// Random transforms, for instance "pad(12)|jitter(8)|scale(0.9..1.1)|rotate(-10..10)|jitter(4)", or none
    ///
    /// Transforms act in order; then the result is cropped or padded to the picture's size. There are
    /// pad(LENGTH[,reflect]), jitter(LENGTH) in pixels or percent of the side, roll(PIXELS|textures),
    /// scale(RANGE), rotate(RANGE) in degrees, crop(RANGE) of a part of the side, noise(RANGE) and
    /// uniform(RANGE), blur(RANGE) in pixels, flip or flip(PROBABILITY), mask(circle,RADIUS), mask(box,PART),
    /// canvas(HEIGHT,WIDTH) and fill(VALUE) or fill(RED,GREEN,BLUE), the colour outside; for clips also
    /// tjitter(FRAMES), tcrop(RANGE) and speed(RANGE).
    ///
    /// A RANGE is a number, low..high, a list (0.9,1,1.1), or goes over the run as in crop(0.5->0.05) or
    /// blur(1..3->0..1).
    #[arg(long, value_name = "CHAIN")]
    transform: Option<String>,
    /// The optimiser
    #[arg(long, value_parser = OPTIMIZERS)]
    optimizer: Option<String>,
    /// Learning rate [default: the recipe's; for another optimizer .05 for adam, adamw and nadam, .01 for
    /// sgd, 1.5/255 for normalized, 1 for lbfgs, and for accumulated-squares 2.7e6, which is meant for pixels
    /// in 0–255]
    #[arg(long, visible_alias = "lr", allow_negative_numbers = true, value_name = "RATE")]
    learning_rate: Option<f32>,
    /// How the learning rate changes over the steps: constant, linear(TO), cosine(TO), exponential(TO),
    /// inverse-time(K), or steps(FACTOR@FRACTION,…), where each factor applies from its fraction of the steps
    /// on; the last step has the rate times TO, or times 1/(1+K)
    #[arg(long, value_name = "SCHEDULE")]
    schedule: Option<Schedule>,
    /// Momentum of sgd and accumulated-squares, from 0 to less than 1
    #[arg(long, allow_negative_numbers = true, value_name = "MOMENTUM")]
    momentum: Option<f32>,
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

/// Flags for modified gradients through the network.
#[derive(clap::Args)]
pub struct RuleArgs {
    /// How gradients pass ReLUs: exact; redirected (through silent ones too, where nothing else would pass);
    /// leaky or leaky(SLOPE) (silent ReLUs pass the gradient times SLOPE, .1 by default); guided or deconv
    /// (both are for the gradient of an image, as in oneiro run; an optimisation from noise achieves little
    /// with them)
    #[arg(long, value_name = "RULE")]
    pub relu_rule: Option<ReluGradient>,
    /// How gradients pass max-pooling: to the maximum (exact), or to the whole window as in L2 pooling
    /// (smoothed)
    #[arg(long, value_name = "RULE", value_parser = ["exact", "smoothed"])]
    max_pool_rule: Option<String>,
}

impl RuleArgs {
    /// Returns the gradient rule for max-pooling, if the flag is given.
    pub fn max_pool(&self) -> Option<MaxPoolGradient> {
        self.max_pool_rule.as_deref().map(|rule| match rule {
            "smoothed" => MaxPoolGradient::Smoothed,
            _ => MaxPoolGradient::Exact,
        })
    }
}

/// Returns a built-in preset by its name, or reads a preset from a file.
/// `seed` is the seed of the new pictures, which is compared with that of a result.
fn named_or_read(context: &Context, name: &str, seed: u64) -> Result<Preset> {
    if let Some(preset) = Preset::named(name) {
        return Ok(preset);
    }
    let names: Vec<String> = Preset::all().into_iter().map(|p| p.name).collect();
    if recipe::is_result(name) {
        let setting = setting_of(Path::new(name)).with_context(|| format!("--preset {name}"))?;
        if setting.seed != seed {
            let own = setting.seed;
            context.note(&format!("{name} has the seed {own}, which is no part of its recipe: --seed {own}"));
        }
        return Ok(setting.preset);
    }
    if !recipe::is_toml(name) {
        if DreamPreset::all().iter().any(|p| p.name == name) {
            bail!("the preset \"{name}\" is one for dreams: oneiro dream MODEL IMAGE --preset {name}");
        }
        bail!(
            "there is no preset \"{name}\"; there are {}, files that end in .toml, and pictures that oneiro made",
            names.join(", ")
        );
    }
    let text = match std::fs::read_to_string(name) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            bail!("--preset {name}: there is no such file; --save-preset writes one")
        }
        read => read.with_context(|| format!("could not read the preset {name}"))?,
    };
    toml::from_str(&text).with_context(|| format!("--preset {name}: it cannot be used"))
}

impl RenderArgs {
    /// Returns the preset with everything that flags, or else the configuration file, change in it.
    pub fn preset(&self, context: &Context) -> Result<Preset> {
        self.preset_or(context, DEFAULT_PRESET)
    }

    /// Whether a flag chooses a preset.
    pub fn preset_is_chosen(&self) -> bool {
        self.preset.is_some()
    }

    /// Whether a flag chooses a parametrization.
    pub fn param_is_chosen(&self) -> bool {
        self.param.is_some()
    }

    /// Whether a flag chooses a picture size.
    pub fn size_is_chosen(&self) -> bool {
        self.size.is_some() || self.sets("size")
    }

    /// Whether `--set` assigns a setting whose path ends in this name.
    pub fn sets(&self, name: &str) -> bool {
        let path = |assignment: &String| {
            assignment.split('=').next().is_some_and(|k| k.trim().rsplit('.').next() == Some(name))
        };
        self.set.iter().any(path)
    }

    /// Returns the preset as [`Self::preset`] does, but starts from `default` if no flag chooses a preset.
    /// The configuration file's preset replaces [`DEFAULT_PRESET`] only.
    pub fn preset_or(&self, context: &Context, default: &str) -> Result<Preset> {
        let config = context.config();
        let mut of_file = Vec::new();
        let usual = default == DEFAULT_PRESET;
        let name = self.preset.as_deref().or_else(|| {
            let chosen = config.preset.as_deref().filter(|_| usual);
            of_file.extend(chosen.map(|p| format!("preset {p}")));
            chosen
        });
        let mut preset = named_or_read(context, name.unwrap_or(default), self.seed)?;
        let size = self.size.or_else(|| {
            let size = config.size.filter(|_| usual)?;
            of_file.push(format!("size {}x{}", size[0], size[1]));
            Some(size)
        });
        if size.is_some() {
            // Some presets show the network crops of a larger picture; `--size` then sets the size of that
            // picture.
            let of_picture = preset.picture.is_some();
            *(if of_picture { &mut preset.picture } else { &mut preset.size }) = size;
        }
        if let Some(name) = &self.param {
            preset.set_param(name).ok_or_else(|| anyhow!("there is no parametrization \"{name}\""))?;
        }
        if let Some(steps) = self.steps {
            preset.steps = steps as usize;
        } else if let Some(steps) = config.steps.filter(|_| usual) {
            of_file.push(format!("steps {steps}"));
            preset.steps = steps as usize;
        }
        if !of_file.is_empty() {
            context.note(&format!("{} from {}", of_file.join(", "), config.path.display()));
        }
        if let Some(tolerance) = self.until_converged {
            if !(tolerance > 0.0 && tolerance < 1.0) {
                bail!("--until-converged {tolerance}: a fraction between 0 and 1 is needed");
            }
            preset.tolerance = Some(tolerance);
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
            Some(name) => name.parse::<OptimizerKind>()?,
        };
        preset.set_optimizer(kind, self.learning_rate);
        if let Some(schedule) = &self.schedule {
            preset.optimizer.schedule = schedule.clone();
        }
        if let Some(momentum) = self.momentum {
            preset.optimizer.momentum = Some(momentum);
            preset.optimizer.validate().with_context(|| format!("--momentum {momentum}"))?;
        }
        preset.gradients = self.gradients(preset.gradients)?;
        if let Some(views) = self.views {
            preset.views = views;
        }
        if let Some(jitter) = self.jitter {
            preset.jitter = jitter;
        }
        preset.alpha |= self.alpha;
        for assignment in &self.set {
            preset = with_setting(&preset, assignment)?;
        }
        check_preset(&preset)?;
        recipe::check(self.save_preset.as_deref())?;
        Ok(preset)
    }

    /// Lets a flag, which holds for every input of the network, win over the preset's settings for single
    /// inputs.
    ///
    /// # Errors
    /// If the resulting settings contradict each other.
    pub fn override_inputs(&self, preset: &mut Preset) -> Result<()> {
        let param = self.param.is_some();
        for input in preset.inputs.values_mut() {
            if param {
                input.param = None;
                input.rate = None;
            }
            if self.transform.is_some() {
                input.transform = None;
            }
            if self.jitter.is_some() {
                input.jitter = None;
            }
        }
        // The bound of the regularizer applies to pixels only, so other parametrizations switch it off.
        if param && preset.param.name() != "pixel" {
            let others = preset.inputs.values_mut().filter_map(|input| input.regularizer.as_mut());
            preset.regularizer.iter_mut().chain(others).for_each(|regularizer| regularizer.bound = 0.0);
        }
        Ok(check_preset(preset)?)
    }

    /// Returns the file that the preset is read from, if it comes from a file.
    pub fn recipe_file<'a>(&'a self, context: &'a Context) -> Option<&'a Path> {
        let name = self.preset.as_deref().or(context.config().preset.as_deref())?;
        recipe::is_file(name).then_some(Path::new(name))
    }

    /// Returns the file of `--save-preset`, to which the preset is to be saved.
    pub fn save_path(&self) -> Option<&PathBuf> {
        self.save_preset.as_ref()
    }

    /// Returns the file of `--save-preset` with its flag's name, for checks of output files.
    pub fn placed(&self) -> Option<Placed<'_>> {
        placed("--save-preset", self.save_path())
    }

    /// Saves the preset if `--save-preset` is given, and returns the file's name. Called after all else has
    /// succeeded.
    pub fn save(&self, preset: &Preset) -> Result<Option<String>> {
        recipe::save(self.save_preset.as_deref(), "oneiro", preset)
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
