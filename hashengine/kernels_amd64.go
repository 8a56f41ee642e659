// SPDX-License-Identifier: Apache-2.0

package hashengine

import "github.com/ballast-energy/ballast/hashengine/internal/sha256d"

// archKernels are the kernels of this architecture.
var archKernels = []Kernel{
	{Name: "shani_vr5", Summary: "five versions of one nonce on the SHA instructions of x86, one schedule for all", lanes: sha256d.NewSHANIVR5},
	{Name: "shani_n4", Summary: "four nonces of one version on the SHA instructions of x86", lanes: sha256d.NewSHANIN4},
	{Name: "avx512", Summary: "sixteen nonces in AVX-512 vectors, one schedule for all versions", lanes: sha256d.NewAVX512},
	{Name: "avx2", Summary: "eight nonces in AVX2 vectors, one schedule for all versions", lanes: sha256d.NewAVX2},
}
