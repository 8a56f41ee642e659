// SPDX-License-Identifier: Apache-2.0

package hashengine

// archKernels are the kernels of this architecture.
var archKernels = []Kernel{}
