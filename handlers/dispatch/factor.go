// SPDX-License-Identifier: Apache-2.0

package dispatch

// factorText says what the ratio of two quantities looks like, where it looks
// like a mistake with a name; else nothing.
func factorText(high, low int64) string {
	switch factorOf(high, low, 8) {
	case 1_000:
		return ", about a thousand times: kW for W, or MW for kW"
	case 100:
		return ", about a hundred times: a wrong scale factor"
	case 10:
		return ", about ten times: a wrong scale factor or transformer ratio"
	}
	return ""
}

// factorOf is 1,000, 100 or 10 when high is that many times low to within one
// part in so many, else 0.
func factorOf(high, low, within int64) int64 {
	if low <= 0 || high <= 0 {
		return 0
	}
	for _, f := range [...]int64{1_000, 100, 10} {
		if low > never/f/2 {
			continue
		}
		if want := low * f; high >= want-want/within && high <= want+want/within {
			return f
		}
	}
	return 0
}
