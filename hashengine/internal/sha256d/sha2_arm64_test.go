// SPDX-License-Identifier: Apache-2.0

package sha256d

func init() {
	kernels["arm64"] = func() Kernel {
		k, err := NewARM64()
		if err != nil {
			panic(err)
		}
		return k
	}
}
