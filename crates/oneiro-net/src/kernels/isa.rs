//! The instruction sets for which kernels are compiled.
//!
//! A kernel takes an [`Isa`] as an argument, so that a test can run every compiled version that this machine
//! supports. Results may differ in the last bits between instruction sets, because only some fuse multiply
//! and add. Within one instruction set they never differ.

/// An instruction set for which kernels are compiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Isa {
    /// x86-64 with AVX-512 F, VL, BW and DQ: 32 registers of 16 `f32` values.
    Avx512,
    /// x86-64 with AVX2 and FMA: 16 registers of 8 `f32` values.
    Avx2,
    /// 64-bit Arm with NEON: 32 registers of 4 `f32` values.
    Neon,
    /// Plain Rust, vectorized by the compiler if it can.
    Portable,
}

impl Isa {
    /// Every instruction set, the fastest first.
    const ALL: [Isa; 4] = [Isa::Avx512, Isa::Avx2, Isa::Neon, Isa::Portable];

    /// Returns the fastest instruction set of this machine. The standard library caches the answer.
    pub fn detect() -> Isa {
        Isa::ALL.into_iter().find(|isa| isa.is_available()).unwrap_or(Isa::Portable)
    }

    /// Returns every instruction set that this machine supports, the fastest first.
    pub fn available() -> Vec<Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// Whether this machine supports the instruction set.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Isa::Portable => true,
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// Panics if this machine lacks the instruction set. It is called before every call of a compiled
    /// version.
    #[track_caller]
    pub(crate) fn require(self) {
        assert!(self.is_available(), "this machine has no {} instructions", self.name());
    }

    /// The name that a picture's metadata gives as its kernel family.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512 => "avx512",
            Isa::Avx2 => "avx2",
            Isa::Neon => "neon",
            Isa::Portable => "portable",
        }
    }
}

/// Compiles one function body for each x86 instruction set and chooses a version by the first argument.
///
/// The body contains no fused multiply-add, so every version computes the same bits.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        $vis fn $name(isa: $crate::kernels::isa::Isa, $($arg: $ty),*) {
            #[inline(always)]
            fn body($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
            fn avx512($($arg: $ty),*) {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2($($arg: $ty),*) {
                body($($arg),*)
            }

            isa.require();
            match isa {
                // SAFETY: `require` has checked the features that the function is compiled with.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: `require` has checked the features that the function is compiled with.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    };
}
pub(crate) use multiversion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detected_family_is_the_first_available_one_and_portable_is_always_there() {
        assert_eq!(Isa::available().first(), Some(&Isa::detect()));
        assert_eq!(Isa::available().last(), Some(&Isa::Portable));
    }
}
