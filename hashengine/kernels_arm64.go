// SPDX-License-Identifier: Apache-2.0

package hashengine

import "github.com/ballast-energy/ballast/hashengine/internal/sha256d"

// archKernels are the kernels of this architecture.
var archKernels = []Kernel{
	{Name: "arm64", Summary: "four lanes on the SHA-256 instructions of ARMv8", lanes: sha256d.NewARM64},
}
