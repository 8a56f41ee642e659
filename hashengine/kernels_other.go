// SPDX-License-Identifier: Apache-2.0

//go:build !amd64 && !arm64

package hashengine

// archKernels are the kernels of this architecture: those of all must do.
var archKernels = []Kernel{}
