// SPDX-License-Identifier: Apache-2.0

package hashengine

// archKernels are the kernels of this architecture, the quickest first as far
// as one can tell without measuring.
var archKernels = []Kernel{}
