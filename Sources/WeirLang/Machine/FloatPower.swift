#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// `x ** y` on floats: the one function of C's library that the language needs and Swift's has not. Pure arithmetic.
func floatPower(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }
