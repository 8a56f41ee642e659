// SPDX-License-Identifier: Apache-2.0

package sha256d

func init() {
	if k, err := NewAVX2(); err == nil {
		kernels["avx2"] = func() Kernel { k, _ = NewAVX2(); return k }
	}
}
